/** Settings that are better chosen or written than typed into one line. */

const CHOICES: Record<string, readonly string[]> = {
  'gateway.forwarded_for': ['append', 'keep', 'off'],
  'gateway.log.format': ['text', 'json'],
  'gateway.log.capture': ['off', 'errors', 'all'],
  'gateway.health.probe.method': ['GET', 'HEAD', 'OPTIONS', 'POST'],
};

export function choicesOf(key: string): readonly string[] | null {
  return CHOICES[key] ?? null;
}

export function isLongText(key: string): boolean {
  return key === 'gateway.system_prompt.replacement';
}

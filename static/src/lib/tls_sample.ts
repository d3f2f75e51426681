/** What a client needs for the gateway's own TLS listener, where its certificate is self-signed. */
import type { Config, ConfigProblem } from '@/api/types';

/** The code of the warning that says so. */
const SELF_SIGNED = 'certificate_self_signed';

export interface TlsSample {
  /** The certificate, on the gateway's machine. */
  readonly path: string;
  /** Lines for a shell. */
  readonly code: string;
}

export function tlsSample(settings: Config['settings'], warnings: readonly ConfigProblem[], hostname: string): TlsSample | null {
  const warning = warnings.find(({ code }) => code === SELF_SIGNED);
  const listen = settings.find(({ key }) => key === 'gateway.tls.listen')?.value ?? '';
  const port = /:(\d+)$/.exec(listen)?.[1];
  const path = warning?.parameters['path'];
  if (port === undefined || typeof path !== 'string') return null;
  return { path, code: `export ANTHROPIC_BASE_URL=https://${hostname}:${port}\nexport NODE_EXTRA_CA_CERTS=${path}` };
}

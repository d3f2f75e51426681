/** What to write where, so that a client goes through the gateway. */

export const CLIENTS = ['claude', 'vscode', 'python', 'javascript', 'curl'] as const;
export type Client = (typeof CLIENTS)[number];

export function isClient(value: unknown): value is Client {
  return CLIENTS.some((client) => client === value);
}

export type SampleTitle = 'bash' | 'powershell' | 'claudeSettings' | 'vscodeSettings' | 'python' | 'javascript' | 'curl';

interface Sample {
  title: SampleTitle;
  code: string;
}

const KEY = 'sk-your-key';
const MODEL = 'claude-sonnet-4-5';

function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

export function clientSamples(url: string): Record<Client, Sample[]> {
  const env = { ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: KEY };
  const variables = Object.entries(env);
  return {
    claude: [
      { title: 'bash', code: [...variables.map(([name, value]) => `export ${name}=${value}`), 'claude'].join('\n') },
      { title: 'powershell', code: [...variables.map(([name, value]) => `$env:${name} = "${value}"`), 'claude'].join('\n') },
      { title: 'claudeSettings', code: json({ env }) },
    ],
    vscode: [
      {
        title: 'vscodeSettings',
        code: json({ 'claudeCode.environmentVariables': variables.map(([name, value]) => ({ name, value })) }),
      },
    ],
    python: [
      {
        title: 'python',
        code: `from anthropic import Anthropic

client = Anthropic(base_url="${url}", auth_token="${KEY}")
message = client.messages.create(
    model="${MODEL}",
    max_tokens=256,
    messages=[{"role": "user", "content": "Hello"}],
)
print(message.content[0].text)`,
      },
    ],
    javascript: [
      {
        title: 'javascript',
        code: `import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: '${url}', authToken: '${KEY}' });
const message = await client.messages.create({
  model: '${MODEL}',
  max_tokens: 256,
  messages: [{ role: 'user', content: 'Hello' }],
});
console.log(message.content[0].text);`,
      },
    ],
    curl: [
      {
        title: 'curl',
        code: `curl ${url}/v1/messages \\
  -H "Authorization: Bearer ${KEY}" \\
  -H "anthropic-version: 2023-06-01" \\
  -H "Content-Type: application/json" \\
  -d '${JSON.stringify({ model: MODEL, max_tokens: 256, messages: [{ role: 'user', content: 'Hello' }] })}'`,
      },
    ],
  };
}

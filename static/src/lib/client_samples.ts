/** What to write where, so that a client goes through the gateway. Claude Code 2.1.330 and its documentation, read on 2026-11-27. */

export const CLIENTS = ['claude', 'vscode', 'team', 'python', 'javascript', 'curl'] as const;
export type Client = (typeof CLIENTS)[number];

export function isClient(value: unknown): value is Client {
  return CLIENTS.some((client) => client === value);
}

export type SampleTitle =
  | 'bash' | 'powershell' | 'claudeSettings' | 'vscodeSettings' | 'managedSettings' | 'memberKey' | 'python' | 'pythonAgent' | 'javascript'
  | 'javascriptAgent' | 'curl';

interface Sample {
  title: SampleTitle;
  code: string;
}

/** Settings of Claude Code that make more of a gateway: `text` names the words that say what each brings. */
export const OPTIONS = [
  { name: 'ENABLE_TOOL_SEARCH', value: 'true', text: 'toolSearch' },
  { name: 'CLAUDE_CODE_GATEWAY_HINT_HEADERS', value: '1', text: 'hintHeaders' },
  { name: 'CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY', value: '1', text: 'modelDiscovery' },
  { name: 'API_TIMEOUT_MS', value: '1200000', text: 'requestTimeout' },
  { name: 'CLAUDE_STREAM_IDLE_TIMEOUT_MS', value: '600000', text: 'streamTimeout' },
] as const;

/** Where Claude Code looks for the settings of a team. */
export const MANAGED_PATHS = [
  { system: 'Linux, WSL', path: '/etc/claude-code/managed-settings.json' },
  { system: 'macOS', path: '/Library/Application Support/ClaudeCode/managed-settings.json' },
  { system: 'Windows', path: 'C:\\Program Files\\ClaudeCode\\managed-settings.json' },
] as const;

/** Stands for what a page on the gateway's own machine cannot know: the address under which others reach the gateway. */
export const ADDRESS = 'ADDRESS-OF-THE-GATEWAY';

/** The gateway's URL for other machines than the one of this page. */
export function teamUrl(url: string): string {
  return url.replace(/^(https?:\/\/)(127(?:\.\d+){3}|\[::1\]|localhost)(?=:|$)/, `$1${ADDRESS}`);
}

/** Whether a client is Claude Code, which knows the options. */
export function hasOptions(client: Client): boolean {
  return client !== 'curl';
}

const KEY = 'sk-your-key';
const MODEL = 'claude-sonnet-5-5';

function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

function agentPython(env: Record<string, string>): string {
  const lines = Object.entries(env).map(([name, value]) => `    "${name}": "${value}",`);
  return `import asyncio
from claude_agent_sdk import ClaudeAgentOptions, query

env = {
${lines.join('\n')}
}

async def main():
    async for message in query(prompt="Hello", options=ClaudeAgentOptions(env=env)):
        print(message)

asyncio.run(main())`;
}

function agentJavascript(env: Record<string, string>): string {
  const lines = Object.entries(env).map(([name, value]) => `  ${name}: '${value}',`);
  return `import { query } from '@anthropic-ai/claude-agent-sdk';

const env = {
  ...process.env,
${lines.join('\n')}
};
for await (const message of query({ prompt: 'Hello', options: { env } })) console.log(message);`;
}

/** With `key` in the place of the client's own, if there is one to be shown. */
export function clientSamples(url: string, key = KEY): Record<Client, Sample[]> {
  const options: Record<string, string> = Object.fromEntries(OPTIONS.map(({ name, value }) => [name, value]));
  const env = { ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: key, ...options };
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
        code: json({
          'claudeCode.disableLoginPrompt': true,
          'claudeCode.environmentVariables': variables.map(([name, value]) => ({ name, value })),
        }),
      },
    ],
    // Everybody's key is their own: it has no place in a file that all have.
    team: [
      { title: 'managedSettings', code: json({ env: { ANTHROPIC_BASE_URL: teamUrl(url), ...options } }) },
      { title: 'memberKey', code: json({ env: { ANTHROPIC_AUTH_TOKEN: key } }) },
    ],
    python: [
      {
        title: 'python',
        code: `from anthropic import Anthropic

client = Anthropic(base_url="${url}", auth_token="${key}", timeout=1200)
with client.messages.stream(
    model="${MODEL}",
    max_tokens=256,
    messages=[{"role": "user", "content": "Hello"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)`,
      },
      { title: 'pythonAgent', code: agentPython(env) },
    ],
    javascript: [
      {
        title: 'javascript',
        code: `import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: '${url}', authToken: '${key}', timeout: 1_200_000 });
const stream = client.messages.stream({
  model: '${MODEL}',
  max_tokens: 256,
  messages: [{ role: 'user', content: 'Hello' }],
});
stream.on('text', (text) => process.stdout.write(text));
await stream.done();`,
      },
      { title: 'javascriptAgent', code: agentJavascript(env) },
    ],
    curl: [
      {
        title: 'curl',
        code: `curl ${url}/v1/messages \\
  -H "Authorization: Bearer ${key}" \\
  -H "anthropic-version: 2023-06-01" \\
  -H "Content-Type: application/json" \\
  -d '${JSON.stringify({ model: MODEL, max_tokens: 256, messages: [{ role: 'user', content: 'Hello' }] })}'`,
      },
    ],
  };
}

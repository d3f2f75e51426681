/** Made-up requests for a dry run. */

const MESSAGES = 'POST /v1/messages?beta=true HTTP/1.1\nHost: 127.0.0.1:8088\nContent-Type: application/json\nanthropic-version: 2023-06-01\nanthropic-beta: claude-code-20250219\nuser-agent: claude-cli/2.1.330 (external, cli)\nx-claude-code-request-class: ';

function body(model: string, more: object = {}): string {
  return JSON.stringify({
    model, max_tokens: 1024, stream: true,
    system: [{ type: 'text', text: 'You are Claude Code, Anthropic\'s official CLI for Claude.' }, { type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
    messages: [{ role: 'user', content: 'Hello' }], ...more,
  }, null, 2);
}

export const SAMPLES = {
  messages: { head: `${MESSAGES}main\n`, body: body('claude-sonnet-4-5') },
  opus: { head: `${MESSAGES}main\n`, body: body('claude-opus-4-8', { thinking: { type: 'enabled', budget_tokens: 4096 }, max_tokens: 8192 }) },
  title: { head: `${MESSAGES}auxiliary\n`, body: body('claude-haiku-4-5') },
  subagent: { head: `${MESSAGES}subagent\nx-claude-code-agent-type: Explore\nx-claude-code-agent-id: agent-1\n`, body: body('claude-sonnet-4-5') },
  warmUp: { head: 'HEAD /api/hello HTTP/1.1\nHost: 127.0.0.1:8088\n', body: '' },
} as const;

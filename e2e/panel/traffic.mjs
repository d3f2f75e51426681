// Traffic for a gateway whose panel is to be looked at: streams, whole replies, errors, a session with a sub-agent.
//
//     node traffic.mjs http://127.0.0.1:8088 [REQUESTS]

const [gateway, count = '60'] = process.argv.slice(2);
const models = ['claude-sonnet-4-6', 'claude-opus-4-8', 'claude-haiku-4-5-20251001'];

async function ask(index) {
  const isStream = index % 4 !== 3;
  const headers = {
    'content-type': 'application/json',
    'anthropic-version': '2023-06-01',
    'user-agent': 'claude-cli/2.1.330 (external, cli)',
    authorization: `Bearer sk-e2e-${index % 3}`,
    'x-claude-code-prompt-id': `0f1e2d3c-0000-4000-8000-${String(Math.floor(index / 10)).padStart(12, '0')}`,
    'x-claude-code-request-class': index % 10 === 4 ? 'subagent' : 'main',
    'x-claude-code-session-id': `0000000${Math.floor(index / 10) % 10}-1111-4222-8333-444455556666`,
  };
  if (index % 10 === 4) Object.assign(headers, { 'x-claude-code-agent-id': 'agent-1', 'x-claude-code-parent-agent-id': 'main', 'x-claude-code-agent-type': 'Explore' });
  const path = index % 12 === 11 ? '/v1/messages/count_tokens?beta=true' : '/v1/messages?beta=true';
  const body = { model: models[index % models.length], max_tokens: 64, stream: isStream, messages: [{ role: 'user', content: `question ${index}` }] };
  // One in fifteen breaks the API, which the upstream answers with an error of its own.
  if (index % 15 === 14) delete body.messages;
  const answer = await fetch(gateway + path, { method: 'POST', headers, body: JSON.stringify(body) });
  await answer.arrayBuffer();
}

for (let index = 0; index < Number(count); index += 6) {
  await Promise.all(Array.from({ length: Math.min(6, Number(count) - index) }, (_, offset) => ask(index + offset)));
}
await fetch(`${gateway}/v1/models`, { method: 'TRACE' }).catch(() => {});

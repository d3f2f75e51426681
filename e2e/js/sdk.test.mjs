// The official JavaScript SDK through the gateway, the current release and an older one.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import Current from '@anthropic-ai/sdk';
import Older from 'anthropic-sdk-older';

const env = (name) => process.env[name] ?? assert.fail(`${name} is not set: type make e2e`);
const GATEWAY = env('E2E_GATEWAY');
const FAULTY_GATEWAY = env('E2E_FAULTY_GATEWAY');
const RECORD = env('E2E_RECORD');
const REPLACEMENT = env('E2E_REPLACEMENT');
const GAP_MS = Number(env('E2E_GAP_MS'));

const MODEL = 'claude-opus-5-5';
const ANSWER = 'Hello from the mock';
const IDENTITY = { type: 'text', text: "You are Claude Code, Anthropic's official CLI for Claude." };
const STYLE = { type: 'text', text: 'Be brief. 简短。', cache_control: { type: 'ephemeral' } };
const hello = (more = {}) => ({
  model: MODEL, max_tokens: 64, messages: [{ role: 'user', content: 'hi' }], ...more,
});

/** What the upstream got from the test with this marker, in order. */
function recorded(marker) {
  const heads = readdirSync(RECORD).filter((name) => name.endsWith('.head')).sort();
  return heads
    .map((name) => ({ name, head: readFileSync(join(RECORD, name), 'latin1') }))
    .filter(({ head }) => head.includes(marker))
    .map(({ name, head }) => {
      const [line, ...fields] = head.trimEnd().split('\r\n');
      const body = readFileSync(join(RECORD, name.replace(/head$/, 'body')));
      const all = (wanted) =>
        fields
          .map((field) => [field.slice(0, field.indexOf(':')), field.slice(field.indexOf(':') + 1).trim()])
          .filter(([known]) => known.toLowerCase() === wanted)
          .map(([, value]) => value);
      return { line, all, body, json: () => JSON.parse(body.toString()) };
    });
}

function only(marker) {
  const requests = recorded(marker);
  assert.equal(requests.length, 1, `${requests.length} requests reached the upstream`);
  return requests[0];
}

for (const [name, Anthropic, sendsXApiKey] of [['current', Current, false], ['older', Older, true]]) {
  /** A client and the marker of its requests. */
  const connect = (options = {}) => {
    const marker = randomUUID();
    const base = { apiKey: 'sk-test', baseURL: GATEWAY, maxRetries: 0, defaultHeaders: { 'x-e2e-marker': marker } };
    return { marker, client: new Anthropic({ ...base, ...options }) };
  };

  const failure = async (promise) => {
    const error = await promise.then(() => assert.fail('no error came'), (error) => error);
    assert.ok(error instanceof Anthropic.APIError, String(error));
    return error;
  };

  describe(`@anthropic-ai/sdk, ${name}`, () => {
    test('a message', async () => {
      const { client, marker } = connect();
      const message = await client.messages.create(hello());
      assert.equal(message.content[0].text, ANSWER);
      assert.equal(message.usage.output_tokens, 9);
      assert.equal(message._request_id, 'req_mock0001');
      assert.equal(only(marker).line, 'POST /v1/messages HTTP/1.1');
    });

    test('stream events come one by one', async () => {
      const { client } = connect();
      const arrivals = [];
      for await (const event of await client.messages.create(hello({ stream: true }))) {
        arrivals.push([performance.now(), event.type]);
      }
      const kinds = arrivals.map(([, kind]) => kind);
      assert.equal(kinds.at(0), 'message_start');
      assert.equal(kinds.at(-1), 'message_stop');
      const took = arrivals.at(-1)[0] - arrivals[0][0];
      assert.ok(took >= 0.8 * GAP_MS * (arrivals.length - 1), `${arrivals.length} events within ${took} ms`);
    });

    test('the stream helper', async () => {
      const { client } = connect();
      assert.equal(await client.messages.stream(hello()).finalText(), ANSWER);
    });

    test('an aborted stream leaves the gateway well', async () => {
      const { client } = connect();
      const stream = await client.messages.create(hello({ stream: true }));
      for await (const _ of stream) break;
      assert.equal((await client.messages.create(hello())).content[0].text, ANSWER);
    });

    test('count_tokens', async () => {
      const { client, marker } = connect();
      const { max_tokens, ...rest } = hello({ system: [IDENTITY] });
      assert.equal((await client.messages.countTokens(rest)).input_tokens, 42);
      assert.deepEqual(only(marker).json().system, [IDENTITY]);
    });

    test('the list of models', async () => {
      const { client, marker } = connect();
      const ids = [];
      for await (const model of client.models.list({ limit: 1000 })) ids.push(model.id);
      assert.deepEqual(ids, [MODEL, 'claude-sonnet-4-5-20250929']);
      assert.equal(only(marker).line, 'GET /v1/models?limit=1000 HTTP/1.1');
    });

    test('an API key', async () => {
      const { client, marker } = connect();
      await client.messages.create(hello());
      const request = only(marker);
      assert.deepEqual(request.all('x-api-key'), sendsXApiKey ? ['sk-test'] : []);
      assert.deepEqual(request.all('authorization'), sendsXApiKey ? [] : ['Bearer sk-test']);
    });

    test('an auth token', async () => {
      const { client, marker } = connect({ apiKey: null, authToken: 'token' });
      await client.messages.create(hello());
      const request = only(marker);
      assert.deepEqual(request.all('x-api-key'), []);
      assert.deepEqual(request.all('authorization'), ['Bearer token']);
    });

    test('the first system text is replaced and nothing else', async () => {
      const { client, marker } = connect();
      const sent = hello({ metadata: { user_id: 'someone' }, system: [IDENTITY, STYLE] });
      await client.messages.create(sent);
      const { body, all } = only(marker);
      // The SDK sends compact JSON in key order, so the rest can be compared byte for byte.
      const expected = { ...sent, system: [{ ...IDENTITY, text: REPLACEMENT }, STYLE] };
      assert.equal(body.toString(), JSON.stringify(expected));
      assert.deepEqual(all('content-length'), [String(body.length)]);
    });

    test('a system prompt that is a string goes through unchanged', async () => {
      const { client, marker } = connect();
      const sent = hello({ system: 'a string' });
      await client.messages.create(sent);
      assert.equal(only(marker).body.toString(), JSON.stringify(sent));
    });

    test('too large is a 413 of the gateway', async () => {
      const { client, marker } = connect();
      const messages = [{ role: 'user', content: 'x'.repeat(33 * 1024 * 1024) }];
      const error = await failure(client.messages.create(hello({ messages })));
      assert.equal(error.status, 413);
      assert.equal(error.error.type, 'error');
      assert.equal(error.error.error.type, 'request_too_large');
      assert.equal(error.error.request_id, error.headers.get('x-request-id'));
      assert.ok(error.requestID, "the SDK's own request id, from the header request-id");
      assert.deepEqual(recorded(marker), []);
    });

    for (const [status, kind] of [[529, 'overloaded_error'], [429, 'rate_limit_error']]) {
      test(`a ${status} is the upstream's own`, async () => {
        const { client } = connect({ baseURL: FAULTY_GATEWAY });
        const headers = { 'x-mock-status': String(status) };
        const error = await failure(client.messages.create(hello(), { headers }));
        assert.ok(error instanceof (status === 429 ? Anthropic.RateLimitError : Anthropic.InternalServerError));
        assert.equal(error.status, status);
        assert.equal(error.error.error.type, kind);
        assert.equal(error.error.error.message, 'said by the upstream');
        assert.equal(error.requestID, 'req_faulty');
        assert.equal(error.headers.get('retry-after'), '7');
      });
    }
  });
}

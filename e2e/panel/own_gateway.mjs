// A gateway of a test's own, with an upstream that uses as many tokens as it is told, and prices that are easy to reckon with:
// what the panel shows of its traffic is known beforehand, and can be compared with what the database has.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Bench, freePort } from './harness.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
export const BINARIES = process.env.E2E_BINARIES ?? join(root, 'target', 'debug');
export const IS_BUILT = existsSync(join(BINARIES, 'anyrouter-gateway'));
const KEY = 'a key for this run';

/** An upstream that answers with the usage that `x-use` asks for (input, cache write, cache read, output), or an error. */
function startUpstream() {
  const server = createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const send = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      const use = request.headers['x-use'];
      if (use === undefined) return send(400, { type: 'error', error: { type: 'invalid_request_error', message: 'made to fail' } });
      const [input, write, read, output] = use.split(',').map(Number);
      const usage = { input_tokens: input, cache_creation_input_tokens: write, cache_read_input_tokens: read, output_tokens: output };
      const answer = () => send(200, {
        id: 'msg_1', type: 'message', role: 'assistant', model: JSON.parse(Buffer.concat(parts)).model, content: [{ type: 'text', text: 'yes' }], stop_reason: 'end_turn', usage,
      });
      return setTimeout(answer, Number(request.headers['x-wait'] ?? 0));
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const yaml = (upstream, isKeyed) => `gateway:
  upstreams:
    - {name: near, base_url: ${upstream}}
    - {name: far, base_url: ${upstream}, priority: 1}${isKeyed ? `\n    - {name: keyed, base_url: ${upstream}, api_key: sk-keyed, priority: 2}` : ''}
  routes: [{keys: sk-far, upstreams: [far]}]
  prices:
    - {models: claude-dear, input: 10, output: 50, cache_write: 12, cache_read: 1}
    - {models: claude-cheap, input: 1, output: 5, cache_write: 1.25, cache_read: 0.1}
`;

export class OwnGateway {
  /** With a past of so many made-up rows over thirty days, and with an upstream for client tokens. */
  static async start({ past = 0, isKeyed = false } = {}) {
    const own = new OwnGateway();
    own.folder = mkdtempSync(join(tmpdir(), 'panel-own-'));
    own.db = join(own.folder, 'log.db');
    own.key = KEY;
    if (past > 0) execFileSync(join(BINARIES, 'examples', 'fill_log'), [own.db, String(past), '30'], { stdio: 'ignore' });
    own.upstream = await startUpstream();
    writeFileSync(join(own.folder, 'gateway.yaml'), yaml(`http://127.0.0.1:${own.upstream.address().port}`, isKeyed));
    const port = await freePort();
    own.url = `http://127.0.0.1:${port}`;
    own.child = spawn(join(BINARIES, 'anyrouter-gateway'), ['-c', join(own.folder, 'gateway.yaml')], {
      cwd: own.folder, stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        PATH: process.env.PATH, LISTEN: `127.0.0.1:${port}`, ADMIN_LISTEN: `127.0.0.1:${await freePort()}`, API_BASE_URL: '', GATEWAY_DB: own.db, DASHBOARD_API_KEY: KEY, RUST_LOG: 'warn',
      },
    });
    await own.until('the gateway answers', () => fetch(`${own.url}/health`).then((answer) => answer.ok, () => false));
    return own;
  }

  async stop() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill();
    await ended;
    this.upstream.close();
    this.upstream.closeAllConnections();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async until(what, isSo) {
    const deadline = Date.now() + 20_000;
    while (!await isSo()) {
      assert(Date.now() < deadline, `not in time: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Sends one request; without `use` it fails. */
  async ask({ model = 'claude-dear', use = null, session = null, agent = null, parent = null, type = null, as = null, key = 'sk-near', wait = 0, body = {}, headers: more = {}, signal = null }) {
    const headers = { 'content-type': 'application/json', 'anthropic-version': '2023-06-01', 'user-agent': 'claude-cli/2.1.330 (external, cli)', authorization: `Bearer ${key}` };
    const named = {
      'x-use': use?.join(), 'x-wait': wait || null, 'x-claude-code-session-id': session, 'x-claude-code-agent-id': agent, 'x-claude-code-parent-agent-id': parent,
      'x-claude-code-agent-type': type, 'x-claude-code-request-class': as, ...more,
    };
    for (const [name, value] of Object.entries(named)) if (value !== null && value !== undefined) headers[name] = String(value);
    const message = { model, max_tokens: 64, messages: [{ role: 'user', content: 'a question' }], ...body };
    const answer = await fetch(`${this.url}/v1/messages?beta=true`, { method: 'POST', headers, body: JSON.stringify(message), signal });
    await answer.arrayBuffer();
    return answer.status;
  }

  /** What the database itself says. */
  sql(query, ...values) {
    const script = 'import json,sqlite3,sys; c=sqlite3.connect(f"file:{sys.argv[1]}?mode=ro",uri=True); c.row_factory=sqlite3.Row; '
      + 'print(json.dumps([dict(r) for r in c.execute(sys.argv[2], json.loads(sys.argv[3]))]))';
    return JSON.parse(execFileSync('python3', ['-c', script, this.db, query, JSON.stringify(values)]).toString());
  }

  /** Waits until the log has so many rows of sessions that a test began. */
  async logged(count, sessions = '%') {
    await this.until(`${count} rows in the log`, () => this.sql('SELECT count(*) AS n FROM requests WHERE session LIKE ?', sessions)[0].n >= count);
  }
}

/** A gateway with one session and a rule of its own, and a browser: what keys, searches, saved filters and links are tried on. */
export async function startMarked(session, { hasFailure = false } = {}) {
  const own = await OwnGateway.start();
  const bench = await Bench.start({ url: own.url, key: own.key });
  await own.ask({ session, as: 'main', use: [100, 0, 0, 10] });
  await own.ask({ session, as: 'main', model: 'claude-cheap', use: [10, 0, 0, 1] });
  if (hasFailure) await own.ask({ session, as: 'main' });
  await own.logged(hasFailure ? 3 : 2, session);
  const visit = await bench.visit();
  const { version } = await visit.api('config');
  const overlay = 'gateway:\n  rules:\n    - {name: mark-them, match: {path: "*/messages"}, headers: {set: {x-panel: "yes"}}}\n';
  const answer = await visit.context.request.put(`${bench.url}/api/admin/config`, { data: { base_version: version, overlay } });
  assert.equal(answer.status(), 200);
  await visit.close();
  return { own, bench, stop: () => Promise.all([bench.stop(), own.stop()]) };
}

/** As the panel writes dollars in English. */
export function dollars(value) {
  const digits = value === 0 || value >= 1 ? 2 : value >= 0.01 ? 3 : value >= 0.0001 ? 4 : 6;
  return `$${value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

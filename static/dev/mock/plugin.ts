/**
 * A gateway for the desk: the admin API with made-up data. It is part of no build. `MOCK_KEY` is the panel's key (`test-key`; empty: none is set), `MOCK_ROWS` the length of the log.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Connect, Plugin } from 'vite';

import { MockGateway } from './gateway.ts';

export function mockGateway(): Plugin {
  const attach = (middlewares: Connect.Server): void => {
    const gateway = new MockGateway(process.env['MOCK_KEY'] ?? 'test-key', Number(process.env['MOCK_ROWS'] ?? 20_000));
    middlewares.use('/api/admin', (request: IncomingMessage, response: ServerResponse) => void gateway.serve(request, response));
  };
  return {
    name: 'mock-gateway',
    configureServer: (server) => {
      attach(server.middlewares);
    },
    configurePreviewServer: (server) => {
      attach(server.middlewares);
    },
  };
}

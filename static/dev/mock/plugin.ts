/**
 * A gateway for the desk: the admin API with made-up data, and the headers that the real one sends with the panel. It is
 * part of no build. `MOCK_KEY` is the panel's key (`test-key`; empty: none is set), `MOCK_ROWS` the length of the log.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Connect, Plugin } from 'vite';

import { MockGateway } from './gateway.ts';

export const SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
  "manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

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
      server.middlewares.use((_, response, next) => {
        response.setHeader('Content-Security-Policy', SECURITY_POLICY);
        response.setHeader('X-Content-Type-Options', 'nosniff');
        next();
      });
      attach(server.middlewares);
    },
  };
}

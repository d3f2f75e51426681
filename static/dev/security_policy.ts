/** The headers that the gateway sends with the panel, for `vite preview`: what they forbid is to be seen before it is shipped. */

import type { Plugin } from 'vite';

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
  "manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

export function securityPolicy(): Plugin {
  return {
    name: 'security-policy',
    configurePreviewServer: (server) => {
      server.middlewares.use((_, response, next) => {
        response.setHeader('Content-Security-Policy', POLICY);
        response.setHeader('X-Content-Type-Options', 'nosniff');
        next();
      });
    },
  };
}

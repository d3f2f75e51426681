import { fileURLToPath } from 'node:url';

import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vitest/config';

import { mockGateway } from './dev/mock/plugin.ts';
import { precompress } from './dev/precompress.ts';
import { securityPolicy } from './dev/security_policy.ts';
import { serviceWorker } from './dev/service_worker.ts';

// `npm run dev` shows a real gateway: the one at GATEWAY_URL. `npm run dev:mock` needs none.
const gateway = process.env['GATEWAY_URL'] ?? 'http://127.0.0.1:8088';

// The gateway takes changes only from pages of its own origin: Host has to stay what the browser sent.
const proxy = { '/api/admin': { target: gateway, changeOrigin: false } };

export default defineConfig(({ mode }) => ({
  base: '/admin/',
  plugins: [vue(), securityPolicy(), serviceWorker(), precompress(), mode === 'mock' && mockGateway()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  define: {
    __VUE_OPTIONS_API__: false,
    __VUE_PROD_DEVTOOLS__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __VUE_I18N_LEGACY_API__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
  },
  server: { proxy: mode === 'mock' ? {} : proxy },
  preview: { proxy: mode === 'mock' ? {} : proxy },
  build: {
    target: 'es2023',
    // A data: URL for a small file would need an exception in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            // What all errors are told with comes without what edits YAML.
            { name: 'fault', test: /src\/lib\/overlay_fault\.ts/, priority: 3 },
            // Several pages edit YAML, but not the first one that is seen.
            { name: 'overlay', test: /src\/lib\/(overlay|lists|rule_form|upstream_form|key_names|error_rule|upstream_keys)\.ts|node_modules\/yaml\//, priority: 2 },
            // What most pages use comes in one file instead of thirty small ones.
            { name: 'shared', test: /src\/(?!composables\/(config_draft|previewed_edit))(api|components|composables|lib|shell)\//, minShareCount: 4, priority: 1 },
          ],
        },
      },
    },
  },
  test: { include: ['tests/**/*.test.ts'] },
}));

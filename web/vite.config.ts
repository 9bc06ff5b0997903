import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { EVENTS } from '../src/wire/event/events.ts';

/** `npm run web:dev` serves the pages with hot reload; everything else goes to the service that runs on port 8080. */
const SERVICE = process.env.BELLWETHER_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // Relative addresses: the service names the base path in the document.
  base: './',
  plugins: [react(), eventKinds()],
  build: {
    target: 'es2023',
    modulePreload: { polyfill: false },
    // An inlined file would need `data:` in the policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 800,
  },
  server: {
    proxy: {
      '/api': { target: SERVICE },
      '/docs': { target: SERVICE },
      '/openapi.json': { target: SERVICE },
      '/login/oidc': { target: SERVICE },
      '/socket.io': { target: SERVICE, ws: true },
    },
  },
});

/** `virtual:event-kinds`: severity and sentence of every type of event, without the schemas, which would be a quarter of the script. */
function eventKinds(): Plugin {
  const id = 'virtual:event-kinds';
  const kinds = Object.fromEntries(Object.entries(EVENTS).map(([type, { severity, sentence }]) => [type, { severity, sentence }]));
  return {
    name: 'event-kinds',
    resolveId: (source) => (source === id ? `\0${id}` : undefined),
    load: (source) => (source === `\0${id}` ? `export const KINDS = ${JSON.stringify(kinds)};` : undefined),
  };
}

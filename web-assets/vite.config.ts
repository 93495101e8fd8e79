// Builds the page into `dist`, under hashed names, with compressed twins for the server to embed.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { precompress } from './build/precompress.ts';

export default defineConfig({
  plugins: [svelte(), precompress()],
  build: {
    target: 'es2022',
    // The Content-Security-Policy allows no script that is not a file of this server.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // What is embedded in the binary comes with its licences.
    license: { fileName: 'assets/licenses.md' },
  },
  server: {
    // `npm run dev` shows the page over an `emx serve` of this machine.
    proxy: {
      '/api': { target: process.env.EMX_URL ?? 'https://127.0.0.1:8443', secure: false, ws: true },
      '/ca.pem': { target: process.env.EMX_URL ?? 'https://127.0.0.1:8443', secure: false },
      '/healthz': { target: process.env.EMX_URL ?? 'https://127.0.0.1:8443', secure: false },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
} as import('vite').UserConfig & { test: unknown });

// Writes a `.br` and a `.gz` twin beside every file of the build that gets smaller by it.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { Plugin } from 'vite';

const COMPRESSIBLE = /\.(?:html|js|css|svg|json|txt|md)$/;
const toGzip = promisify(gzip);
const toBrotli = promisify(brotliCompress);

export function precompress(): Plugin {
  let folder = 'dist';
  return {
    name: 'precompress',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    async closeBundle() {
      const names = await readdir(folder, { recursive: true });
      await Promise.all(names.filter((name) => COMPRESSIBLE.test(name)).map(twins));
    },
  };

  async function twins(name: string): Promise<void> {
    const path = join(folder, name);
    const plain = await readFile(path);
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
    };
    const packed = { br: await toBrotli(plain, { params }), gz: await toGzip(plain, { level: 9 }) };
    for (const [suffix, bytes] of Object.entries(packed)) {
      if (bytes.length < plain.length) await writeFile(`${path}.${suffix}`, bytes);
    }
  }
}

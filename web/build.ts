import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Builds the dashboard into `web/dist` unless what stands there was built from these very files. Where Vite is not installed (`npm ci --omit=dev`)
 * it leaves everything as it is.
 */
const WEB = import.meta.dirname;
const STAMP = join(WEB, 'dist/.inputs');

export function buildDashboard(): void {
  const vite = join(WEB, '../node_modules/vite/bin/vite.js');
  if (!existsSync(vite) || !existsSync(join(WEB, 'index.html'))) return;
  const inputs = hashOfInputs();
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === inputs) return;
  const { status, stdout, stderr } = spawnSync(process.execPath, [vite, 'build', WEB, '--logLevel', 'warn'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`Cannot build the dashboard:\n${stdout}${stderr}`);
  writeFileSync(STAMP, inputs);
}

function hashOfInputs(): string {
  const hash = createHash('sha256');
  const files = [...filesIn(WEB), ...filesIn(join(WEB, '../src/wire')), join(WEB, '../package-lock.json')];
  for (const file of files.toSorted()) hash.update(relative(WEB, file)).update('\0').update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !/\/(dist|generated)\//.test(file));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) buildDashboard();

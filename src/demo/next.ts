import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LiveEvent } from '../wire/live.ts';
import { lineOf, MENDED_ON_TILL as mended } from './kinds.ts';
import type { Output } from './output.ts';
import type { Stage } from './stage.ts';

/** What a person may do while everything stands: mend the bad commit, ask why, look around. */
export async function sayWhatNext(stage: Stage, out: Output): Promise<void> {
  const { url, token, dir, singles } = stage;
  const [refused, unhealthy] = singles;
  if (refused === undefined || unhealthy === undefined) return;
  const line = lineOf(await readFile(join(refused.workTree, mended.file), 'utf8'), mended.from);
  out.heading('It stays up. Try next');
  out.line(`  service      ${url}    API documentation: ${url}/docs`);
  out.line(`  admin token  ${token}`);
  out.line(`\n  Mend the commit that was refused; what happens is told below:`);
  out.line(`    git clone ${refused.urlWithCredentials} && cd ${refused.name}`);
  out.line(`    # edit ${mended.file}, line ${line}: ${mended.from} to ${mended.to}`);
  out.line(`    git commit --all --message 'Use a VLAN that exists' && git push`);
  out.line(`\n  Ask, from the folder of this project:`);
  out.line(`    export BELLWETHER_SERVER=${url} BELLWETHER_TOKEN=${token}`);
  out.line('    npm start -- devices list');
  out.line(`    npm start -- devices why ${unhealthy.name}`);
  out.line(`    curl -H "Authorization: Bearer $BELLWETHER_TOKEN" ${url}/api/v1/devices`);
  out.line(`\n  Logs and the devices' disks: ${dir}`);
  out.line('  Ctrl-C ends everything.\n');
}

/** One line for each thing that people wait for. */
export function tellEvent(event: LiveEvent, out: Output): void {
  const text = textOf(event);
  if (text !== undefined) out.line(`  ${event.at.slice(11, 19)}  ${text}`);
}

function textOf({ type, subject, data }: LiveEvent): string | undefined {
  const commit = String(data.commit).slice(0, 8);
  const reasons = Array.isArray(data.errors) ? data.errors.join('; ') : '';
  const name = subject.slice(subject.indexOf(':') + 1);
  if (type === 'revision.prepared') return `commit ${commit} by ${String(data.author)} is valid`;
  if (type === 'revision.rejected') return `commit ${commit} by ${String(data.author)} is ${String(data.verdict)}: ${reasons}`;
  if (type !== 'deployment.state') return undefined;
  return `${name}: ${String(data.state)}${typeof data.detail === 'string' ? ` (${data.detail.replaceAll('\n', ' ')})` : ''}`;
}

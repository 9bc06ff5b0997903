import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LiveEvent } from '../wire/live.ts';
import type { Output } from './output.ts';
import { lineOf, MENDED_ON_TILL as mended } from './stack/kinds.ts';
import type { Ground } from './stack/stack.ts';
import type { Stage } from './stage.ts';

/** What a person may do while everything stands: mend the bad commit, ask why, look around. */
export async function sayWhatNext(stage: Stage, out: Output): Promise<void> {
  const [refused, unhealthy] = stage.singles;
  if (refused === undefined || unhealthy === undefined) return;
  const line = lineOf(await readFile(join(refused.workTree, mended.file), 'utf8'), mended.from);
  out.heading('It stays up. Try next');
  sayService(stage, out);
  out.line(`\n  Mend the commit that was refused; what happens is told below:`);
  out.line(`    git clone ${refused.urlWithCredentials} && cd ${refused.name}`);
  out.line(`    # edit ${mended.file}, line ${line}: ${mended.from} to ${mended.to}`);
  out.line(`    git commit --all --message 'Use a VLAN that exists' && git push`);
  sayHowToAsk(stage, out, ['devices list', `devices why ${unhealthy.name}`], 'devices');
}

export function sayService({ url, token }: Ground, out: Output): void {
  out.line(`  service      ${url}    API documentation: ${url}/docs`);
  out.line(`  admin token  ${token}`);
}

/** @param commands of the command line @param list a list of the API */
export function sayHowToAsk({ url, token, dir }: Ground, out: Output, commands: readonly string[], list: string): void {
  out.line(`\n  Ask, from the folder of this project:`);
  out.line(`    export BELLWETHER_SERVER=${url} BELLWETHER_TOKEN=${token}`);
  for (const command of commands) out.line(`    npm start -- ${command}`);
  out.line(`    curl -H "Authorization: Bearer $BELLWETHER_TOKEN" ${url}/api/v1/${list}`);
  out.line(`\n  Logs and the devices' disks: ${dir}`);
  out.line('  Ctrl-C ends everything.\n');
}

/** Of each thing that people wait for. */
export function textOf(event: LiveEvent): string | undefined {
  const { type, subject, data } = event;
  if (type !== 'deployment.state') return revisionText(event);
  const name = subject.slice(subject.indexOf(':') + 1);
  return `${name}: ${String(data.state)}${typeof data.detail === 'string' ? ` (${data.detail.replaceAll('\n', ' ')})` : ''}`;
}

/** The verdict on a commit. */
export function revisionText({ type, data }: LiveEvent): string | undefined {
  const commit = String(data.commit).slice(0, 8);
  const reasons = Array.isArray(data.errors) ? data.errors.join('; ') : '';
  if (type === 'revision.prepared') return `commit ${commit} by ${String(data.author)} is valid`;
  if (type === 'revision.rejected') return `commit ${commit} by ${String(data.author)} is ${String(data.verdict)}: ${reasons}`;
  return undefined;
}

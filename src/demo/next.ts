import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LiveEvent } from '../wire/live.ts';
import type { Output } from './output.ts';
import type { Samples } from './samples.ts';
import { FIXED_ON_TILL as fixed, lineOf } from './stack/kinds.ts';
import type { Stack } from './stack/stack.ts';

/** Suggests what a person can try: fix the bad commit, ask why, inspect the devices. */
export async function printNextSteps(samples: Samples, out: Output): Promise<void> {
  const [refused, unhealthy] = samples.singles;
  if (refused === undefined || unhealthy === undefined) return;
  const line = lineOf(await readFile(join(refused.workTree, fixed.file), 'utf8'), fixed.from);
  out.heading('It stays up. Try next');
  printService(samples, out);
  out.line(`\n  Fix the commit that was refused. Its events appear below:`);
  out.line(`    git clone ${refused.urlWithCredentials} && cd ${refused.name}`);
  out.line(`    # edit ${fixed.file}, line ${line}: ${fixed.from} to ${fixed.to}`);
  out.line(`    git commit --all --message 'Use a VLAN that exists' && git push`);
  printQueries(samples, out, ['devices list', `devices why ${unhealthy.name}`], 'devices');
}

export function printService({ url, token }: Stack, out: Output): void {
  out.line(`  service      ${url}    API documentation: ${url}/docs`);
  out.line(`  admin token  ${token}`);
}

/** @param commands of the command line @param list a list of the API */
export function printQueries({ url, token, dir }: Stack, out: Output, commands: readonly string[], list: string): void {
  out.line(`\n  Ask, from the folder of this project:`);
  out.line(`    export BELLWETHER_SERVER=${url} BELLWETHER_TOKEN=${token}`);
  for (const command of commands) out.line(`    npm start -- ${command}`);
  out.line(`    curl -H "Authorization: Bearer $BELLWETHER_TOKEN" ${url}/api/v1/${list}`);
  out.line(`\n  Logs and the devices' disks: ${dir}`);
  out.line('  Ctrl-C ends everything.\n');
}

/** The line for an event that people wait for. */
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

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LiveEvent } from '../../wire/live.ts';
import { revisionText, sayHowToAsk, sayService } from '../next.ts';
import type { Output } from '../output.ts';
import type { Show } from '../show.ts';
import { lineOf } from '../stack/kinds.ts';
import { type Observed, pushFix, pushGoodCommit, pushHastyCommit, pushUnhealthyCommit } from './acts.ts';
import { TRY_NEXT } from './commits.ts';
import { type Flock, openFlock } from './stage.ts';

const PROMISED = ['completed', 'aborted', 'reverted', 'completed'];

/** Rollouts on simulated devices: canaries, a gate, an abort, a way back. */
export function rolloutShow(devices: number): Show<Flock> {
  const observed: Observed = { devices: 0, canaries: 0, rollouts: [], touched: new Set(), rolledBack: 0, reverted: 0, applied: 0 };
  return {
    async open(options, stopped) {
      const flock = await openFlock(devices, options, stopped);
      observed.devices = flock.devices.length;
      return flock;
    },
    async play(flock, out, elapsed) {
      out.line(`All ${observed.devices} tills run what their repository says (${elapsed()}). To look at it meanwhile:`);
      sayService(flock, out);
      await pushGoodCommit(flock, out, observed);
      await pushUnhealthyCommit(flock, out, observed);
      await pushHastyCommit(flock, out, observed);
      await pushFix(flock, out, observed);
      out.line('');
    },
    sayWhatNext,
    textOf,
    isComplete: () =>
      observed.devices > 0 &&
      observed.applied === observed.devices &&
      observed.touched.size <= observed.canaries &&
      observed.rollouts.join() === PROMISED.join(),
    summary() {
      const { touched, ...counts } = observed;
      return { ...counts, touchedByBadCommit: touched.size };
    },
  };
}

async function sayWhatNext(flock: Flock, out: Output): Promise<void> {
  const { repository, sourceId } = flock;
  const { file, from, to } = TRY_NEXT;
  const line = lineOf(await readFile(join(repository.workTree, file), 'utf8'), from);
  out.heading('It stays up. Try next');
  sayService(flock, out);
  out.line(`\n  Break it again, and see it stopped; what happens is told below:`);
  out.line(`    git clone ${repository.urlWithCredentials} && cd ${repository.name}`);
  out.line(`    # edit ${file}, line ${line}: ${from} to ${to}`);
  out.line(`    git commit --all --message 'Do not wait' && git push`);
  sayHowToAsk(flock, out, ['rollouts list', `devices list --source ${sourceId}`, `devices why ${flock.devices.at(-1)}`], 'rollouts');
}

/** The verdict on a commit, and what its rollout does; with so many tills, not each one's steps. */
function textOf(event: LiveEvent): string | undefined {
  const { type, data } = event;
  if (!type.startsWith('rollout.')) return revisionText(event);
  const word = type.slice('rollout.'.length).replaceAll('_', ' ');
  const said = ['name', 'devices', 'reverted', 'detail'].flatMap((key) => (data[key] === undefined ? [] : [String(data[key])]));
  return `rollout ${word}${said.length === 0 ? '' : `: ${said.join(', ')}`}`;
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LiveEvent } from '../../wire/live.ts';
import { printQueries, printService, revisionText } from '../next.ts';
import type { Output } from '../output.ts';
import type { Show } from '../show.ts';
import { lineOf } from '../stack/kinds.ts';
import { TRY_NEXT } from './commits.ts';
import { type Observed, pushFix, pushGoodCommit, pushHastyCommit, pushUnhealthyCommit } from './pushes.ts';
import { openTills, type Tills } from './tills.ts';

const PROMISED = ['completed', 'aborted', 'reverted', 'completed'];

/** Rollouts on simulated devices: canaries, a gate, an abort, a revert. */
export function rolloutShow(devices: number): Show<Tills> {
  const observed: Observed = { devices: 0, canaries: 0, rollouts: [], touched: new Set(), rolledBack: 0, reverted: 0, applied: 0 };
  return {
    async open(options, stopped) {
      const tills = await openTills(devices, options, stopped);
      observed.devices = tills.devices.length;
      return tills;
    },
    async play(tills, out, elapsed) {
      out.line(`All ${observed.devices} tills run what their repository says (${elapsed()}). To inspect it meanwhile:`);
      printService(tills, out);
      await pushGoodCommit(tills, out, observed);
      await pushUnhealthyCommit(tills, out, observed);
      await pushHastyCommit(tills, out, observed);
      await pushFix(tills, out, observed);
      out.line('');
    },
    printNextSteps,
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

async function printNextSteps(tills: Tills, out: Output): Promise<void> {
  const { repository, sourceId } = tills;
  const { file, from, to } = TRY_NEXT;
  const line = lineOf(await readFile(join(repository.workTree, file), 'utf8'), from);
  out.heading('It stays up. Try next');
  printService(tills, out);
  out.line(`\n  Break it again, and see it stopped. Its events appear below:`);
  out.line(`    git clone ${repository.urlWithCredentials} && cd ${repository.name}`);
  out.line(`    # edit ${file}, line ${line}: ${from} to ${to}`);
  out.line(`    git commit --all --message 'Do not wait' && git push`);
  printQueries(tills, out, ['rollouts list', `devices list --source ${sourceId}`, `devices why ${tills.devices.at(-1)}`], 'rollouts');
}

/** The verdict on a commit and the events of its rollout. The steps of each till would be too many lines. */
function textOf(event: LiveEvent): string | undefined {
  const { type, data } = event;
  if (!type.startsWith('rollout.')) return revisionText(event);
  const word = type.slice('rollout.'.length).replaceAll('_', ' ');
  const said = ['name', 'devices', 'reverted', 'detail'].flatMap((key) => (data[key] === undefined ? [] : [String(data[key])]));
  return `rollout ${word}${said.length === 0 ? '' : `: ${said.join(', ')}`}`;
}

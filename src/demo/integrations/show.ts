import type { LiveEvent } from '../../wire/live.ts';
import { textOf as deviceText, printQueries, printService } from '../next.ts';
import type { Output } from '../output.ts';
import type { Show } from '../show.ts';
import { configure, exportDevice, importDevices, type Observed, resolveConflict, rollBack } from './acts.ts';
import { METERS, openPlatforms, type Platforms, TABLETS } from './platforms.ts';

/** Devices of two platforms: imported, exported, in conflict, configured from Git, rolled back. */
export function integrationsShow(): Show<Platforms> {
  const observed: Observed = { imported: 0, exported: 0, conflicts: 0, resolved: 0, configured: 0, rolledBack: 0 };
  return {
    open: openPlatforms,
    async play(platforms, out, elapsed) {
      out.line(`Service and platforms run (${elapsed()}). To inspect them meanwhile:`);
      printService(platforms, out);
      await importDevices(platforms, out, observed);
      await exportDevice(platforms, out, observed);
      await resolveConflict(platforms, out, observed);
      await configure(platforms, out, observed);
      await rollBack(platforms, out, observed);
      out.line('');
    },
    printNextSteps,
    textOf,
    isComplete: () =>
      observed.imported === METERS + TABLETS &&
      observed.exported === 2 &&
      observed.conflicts === 1 &&
      observed.resolved === 1 &&
      observed.configured === 4 &&
      observed.rolledBack === 1,
    summary: () => observed,
  };
}

async function printNextSteps(platforms: Platforms, out: Output): Promise<void> {
  const { repository } = platforms;
  out.heading('It stays up. Try next');
  printService(platforms, out);
  out.line(`\n  Change a setting of a meter. Its events appear below:`);
  out.line(`    git clone ${repository.urlWithCredentials} && cd ${repository.name}`);
  out.line(`    # edit devices/meter-2/golioth.yaml: REPORT_SECONDS: 60 to 30`);
  out.line(`    git commit --all --message 'Report more often' && git push`);
  const commands = ['integrations list', 'integrations log golioth', 'devices vendor meter-0 settings', 'devices why tablet-0'];
  printQueries(platforms, out, commands, 'integrations');
}

function textOf(event: LiveEvent): string | undefined {
  const { type, subject, data } = event;
  if (type.startsWith('integration.') || type.startsWith('conflict.'))
    return `${subject}: ${type.slice(type.indexOf('.') + 1).replaceAll('_', ' ')}${typeof data.detail === 'string' ? ` (${data.detail})` : ''}`;
  return deviceText(event);
}

import type { Command } from 'commander';
import { wholeNumber } from '../cli/numbers.ts';
import { messageOf, Problem } from '../errors.ts';
import { agentShow } from './agent-show.ts';
import { integrationsShow } from './integrations/show.ts';
import { listenForInterruption } from './interruption.ts';
import { createOutput } from './output.ts';
import { rolloutShow } from './rollout/show.ts';
import { perform, type Show, type ShowFlags } from './show.ts';
import type { Stack } from './stack/stack.ts';

type Flags = ShowFlags & { rollout?: boolean; integrations?: boolean; devices?: number };

/** Two acts need a repository each; each device is a process of its own, which takes about half a second of one core to start. */
const WITH_AGENTS = { least: 2, usual: 5, most: 20 };
/** The first wave is a tenth; they are simulated, in this process. */
const SIMULATED = { least: 5, usual: 50, most: 1_000 };

/** Adds `demo`: everything on this machine, in acts; then it stays up, or with `--exit` ends with a line of JSON. */
export function registerDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('run service, repositories and devices on this machine, with good and bad commits (needs git)')
    .option('--rollout', 'simulated devices instead of agents: canaries, a gate, an abort, a rollback')
    .option('--integrations', 'devices of the platforms Golioth and Mobivisor: import, export, conflict, configuration, rollback')
    .option(
      '--devices <n>',
      `devices with their own repository, besides a fleet of five (default: ${WITH_AGENTS.usual}); with --rollout, devices of one repository (default: ${SIMULATED.usual})`,
      wholeNumber(1, SIMULATED.most),
    )
    .option('--port <port>', 'port of the service; 0: any free one', wholeNumber(0, 65_535), 0)
    .option('--data <dir>', 'an empty folder, which is kept; default: a temporary one, which is removed')
    .option('--exit', 'end after the acts with one line of JSON; exit code 0 if every promise held')
    .action(demo);
}

async function demo(flags: Flags): Promise<void> {
  if (flags.integrations === true) {
    if (flags.rollout === true || flags.devices !== undefined)
      throw new Problem('usage', 'Cannot use --integrations together with --rollout or --devices');
    return run(integrationsShow(), flags);
  }
  if (flags.rollout === true) return run(rolloutShow(devicesOf(flags, SIMULATED)), flags);
  return run(agentShow(devicesOf(flags, WITH_AGENTS)), flags);
}

/** @throws Problem `usage` */
function devicesOf({ devices }: Flags, { least, usual, most }: typeof SIMULATED): number {
  const wanted = devices ?? usual;
  if (wanted < least || wanted > most)
    throw new Problem('usage', `Cannot demonstrate with --devices ${wanted}: must be from ${least} to ${most}`);
  return wanted;
}

async function run<Opened extends Stack>(show: Show<Opened>, flags: Flags): Promise<void> {
  const out = createOutput(process.stdout, process.stderr);
  const interruption = listenForInterruption();
  const failure = await perform(show, flags, out, interruption.signal);
  await interruption.close();
  const reason = failure === undefined ? undefined : messageOf(failure);
  if (reason !== undefined) {
    out.warn(`The demonstration did not come to its end: ${reason}`);
    if (flags.data === undefined && !interruption.signal.aborted)
      out.warn('With --data DIR, the logs of the service and of the devices are kept.');
  }
  const ok = reason === undefined && show.isComplete();
  if (flags.exit === true) out.line(JSON.stringify({ ...show.summary(), ok, reason }));
  process.exitCode = ok ? 0 : 1;
}

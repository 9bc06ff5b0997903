import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { messageOf, Problem } from '../../errors.ts';
import { asItem, type Call, calling, positive, renderOptionsOf, rowsOf, segmentOf, showItem, showTable, type Terminal } from '../call.ts';
import { showAgain } from '../progress.ts';
import { ago, type Column, field, renderItem, renderTable, short } from '../table.ts';

const ROLLOUT_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'STATE', value: field('state') },
  { title: 'KIND', value: field('kind') },
  { title: 'SOURCE', value: field('sourceId') },
  { title: 'CREATED', value: ago('createdAt') },
  { title: 'FINISHED', value: ago('finishedAt') },
  { title: 'WAITS FOR', value: field('waiting.detail') },
  { title: 'ABORTED', value: field('end.detail') },
];

const WAVE_COLUMNS: Column[] = [
  { title: 'WAVE', value: field('name') },
  { title: 'OPENED', value: ago('openedAt') },
  { title: 'PASSED', value: ago('passedAt') },
  { title: 'SUCCEEDED', value: field('succeeded') },
  { title: 'FAILED', value: field('failed') },
  { title: 'IN QUARANTINE', value: field('quarantined') },
  { title: 'UNDER WAY', value: field('open') },
  { title: 'AWAY', value: field('offline') },
];

const OUT_COLUMNS: Column[] = [
  { title: 'GIVES NO SUCCESS', value: field('deviceId') },
  { title: 'WHY', value: field('detail') },
];

const APPROVAL_COLUMNS: Column[] = [
  { title: 'WAVE', value: field('wave') },
  { title: 'DECISION', value: field('decision') },
  { title: 'BY', value: field('decidedBy') },
  { title: 'FROM', value: field('decidedFrom') },
  { title: 'WHEN', value: ago('decidedAt') },
  { title: 'COMMENT', value: field('comment') },
];

const DEVICE_COLUMNS: Column[] = [
  { title: 'DEVICE', value: field('deviceId') },
  { title: 'WAVE', value: field('wave') },
  { title: 'OUTCOME', value: field('outcome') },
  { title: 'STATE', value: field('state') },
  { title: 'STARTED', value: ago('startedAt') },
  { title: 'FINISHED', value: ago('finishedAt') },
  { title: 'ERROR', value: field('error.code') },
  { title: 'DEPLOYMENT', value: short('deploymentId', 13) },
];

const pathOf = (call: Call, rest = ''): string => `/rollouts/${call.segment(0)}${rest}`;

export function registerRolloutCommands(rollouts: Command, io: Terminal): void {
  registerQueries(rollouts, io);
  registerActions(rollouts, io);
}

function registerQueries(rollouts: Command, io: Terminal): void {
  const list = rollouts
    .command('list', { isDefault: true })
    .description('list rollouts, newest first')
    .option('--source <id>')
    .option('--state <state>', 'planned, awaiting_approval, running, paused, completed, aborted, reverting, reverted, superseded')
    .option('--limit <n>', 'maximum number of rows', positive, '20')
    .option('--watch', 'refresh the list after each change');
  calling(list, io, (call) =>
    showAgain(call, ['devices'], async () => {
      const query = { sourceId: call.text('source'), state: call.text('state') };
      showTable(call, ROLLOUT_COLUMNS, await call.client.list('/rollouts', query, call.limit()));
    }),
  );
  calling(
    rollouts.command('get <id>').description('show its waves, gates and counts').option('--watch', 'refresh after each change'),
    io,
    (call) => showAgain(call, [`rollout:${call.args[0]}`], () => showRollout(call)),
  );
  const devices = rollouts
    .command('devices <id>')
    .description('list the devices that it has started')
    .option('--outcome <outcome>', 'offline, open, succeeded, failed, gone, quarantined')
    .option('--wave <n>', 'counted from 0')
    .option('--limit <n>', 'maximum number of rows', positive);
  calling(devices, io, async (call) => {
    const query = { outcome: call.text('outcome'), wave: call.text('wave') };
    showTable(call, DEVICE_COLUMNS, await call.client.list(pathOf(call, '/devices'), query, call.limit()));
  });
}

function registerActions(rollouts: Command, io: Terminal): void {
  const start = rollouts
    .command('start <source>')
    .description("roll out the source's present revision to its devices, now or again")
    .option('--policy <file>', 'JSON or YAML file that replaces the policy of the revision or source')
    .option('--reason <text>');
  calling(start, io, async (call) => {
    const file = call.text('policy');
    const wanted = { sourceId: call.args[0], policy: file === undefined ? undefined : await policyOf(file), reason: call.text('reason') };
    showItem(call, await call.client.send('POST', '/rollouts', wanted));
  });
  for (const [name, path, description] of [
    ['pause <id>', '/pause', 'start no more devices; running attempts end'],
    ['resume <id>', '/resume', 'continue the rollout'],
    ['skip-wave <id>', '/skip-wave', 'count the present wave as passed without its gate; use it when no device of the wave can succeed'],
    ['override-windows <id>', '/override-windows', 'continue outside of its windows (admin)'],
  ] as const) {
    calling(rollouts.command(name).description(description).option('--reason <text>'), io, async (call) => {
      showItem(call, await call.client.send('POST', pathOf(call, path), { reason: call.text('reason') }));
    });
  }
  for (const decision of ['approve', 'reject'] as const) {
    const command = rollouts
      .command(`${decision} <id>`)
      .description(decision === 'approve' ? 'continue a rollout that awaits approval' : 'abort a rollout that awaits approval');
    calling(command.option('--comment <text>'), io, async (call) => {
      showItem(call, await call.client.send('POST', pathOf(call, `/${decision}`), { comment: call.text('comment') }));
    });
  }
  const abort = rollouts
    .command('abort <id>')
    .description('end the rollout and cancel the attempts that no device has begun')
    .option('--revert', 'roll back the changed devices (default: from its policy)')
    .option('--stop', 'leave the changed devices as they are')
    .option('--reason <text>');
  calling(abort, io, async (call) => {
    if (call.flag('revert') && call.flag('stop')) throw new Problem('usage', 'Cannot use --revert with --stop: give one of them');
    const revert = call.flag('revert') ? true : call.flag('stop') ? false : undefined;
    showItem(call, await call.client.send('POST', pathOf(call, '/abort'), { revert, reason: call.text('reason') }));
  });
  const retry = rollouts.command('retry <id> [devices...]').description('give another attempt to all failed devices, or to these');
  calling(retry, io, async (call) => {
    const deviceIds = call.args.slice(1);
    showItem(call, await call.client.send('POST', pathOf(call, '/retry'), deviceIds.length === 0 ? {} : { deviceIds }));
  });
}

async function policyOf(file: string): Promise<unknown> {
  try {
    return parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new Problem('invalid_policy', `Cannot read the policy "${file}": ${messageOf(cause)}`, { cause });
  }
}

async function showRollout(call: Call): Promise<void> {
  const answer = await call.client.get(pathOf(call));
  if (call.json) return showItem(call, answer);
  const { waves, approvals, policy, counts, out, moreOut: _more, ...rollout } = asItem(answer) ?? {};
  const options = renderOptionsOf(call.io);
  call.io.out(renderItem({ ...rollout, ...asItem(counts), policy: JSON.stringify(policy) }, options));
  call.io.out(`\n${renderTable(WAVE_COLUMNS, rowsOf(waves), options)}`);
  if (rowsOf(out).length > 0) call.io.out(`\n${renderTable(OUT_COLUMNS, rowsOf(out), options)}`);
  if (rowsOf(approvals).length > 0) call.io.out(`\n${renderTable(APPROVAL_COLUMNS, rowsOf(approvals), options)}`);
}

/** Holds of sources and sites, and the rollback of a source. */
export function registerHoldCommands(sources: Command, sites: Command, io: Terminal): void {
  for (const [group, noun] of [
    [sources, 'source'],
    [sites, 'site'],
  ] as const) {
    calling(
      group.command('hold <id>').description(`stop all automatic changes of the ${noun}'s devices`).option('--reason <text>'),
      io,
      async (call) => {
        showItem(call, await call.client.send('POST', `/${noun}s/${call.segment(0)}/hold`, { reason: call.text('reason') }));
      },
    );
    calling(group.command('release <id>').description(`lift the ${noun}'s hold`), io, async (call) => {
      showItem(call, await call.client.send('DELETE', `/${noun}s/${call.segment(0)}/hold`));
    });
  }
  const rollback = sources
    .command('rollback <id>')
    .description('roll its devices back to an older revision and hold the source there; Git does not change')
    .option('--to <revision>', 'default: the revision of the last completed rollout before the present one')
    .option('--branch <name>', 'push the revert commit as a new branch')
    .option('--reason <text>');
  calling(rollback, io, async (call) => {
    const [to, branch, reason] = ['to', 'branch', 'reason'].map(call.text);
    showItem(call, await call.client.send('POST', `/sources/${segmentOf(call.args[0] ?? '')}/rollback`, { to, branch, reason }));
  });
}

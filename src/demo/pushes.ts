import { z } from 'zod';
import { Problem } from '../errors.ts';
import { complaintsOf, type DemoDevice, type Fingerprint, fileOn, fingerprintOf } from './devices.ts';
import { blockersOf, demand, isAbout, isStep, printBlockers, rolloutOf } from './observe.ts';
import type { Output } from './output.ts';
import type { Samples } from './samples.ts';
import type { Recording } from './stack/feed.ts';
import { type Edit, editIn, INVALID_ON_TILL, UNHEALTHY_ON_ROUTER } from './stack/kinds.ts';
import { commitAndPush, type Pushed, type Repository } from './stack/repositories.ts';

/** One device that runs what was pushed. Both times end when the live event of its success arrives, ms. */
export type Arrival = { device: string; kind: string; commit: string; sincePushMs: number; sinceHookMs: number | null };

/** The observations so far; a step that fails has added its own observations. */
export type Observed = { arrivals: Arrival[]; rejectedRevisions: number; rolledBack: number };

const RevisionDetail = z.object({
  verdict: z.string(),
  devices: z.array(z.string()),
  paths: z.array(
    z.object({
      errors: z.array(
        z.object({
          file: z.string(),
          line: z.number().optional(),
          pointer: z.string(),
          rule: z.string(),
          limit: z.unknown(),
          actual: z.unknown(),
        }),
      ),
    }),
  ),
});

/** Step 1: one good commit in each repository, one after the other; each device gets it. @throws Problem `demo_incomplete` */
export async function pushGoodCommits(samples: Samples, out: Output, observed: Observed): Promise<void> {
  out.heading('1  A good commit in each repository');
  for (const repository of [...samples.singles, samples.fleet]) {
    using recording = samples.feed.record();
    const devices = devicesOf(samples, repository);
    const pushed = await commitAndPush(
      repository,
      'Change a setting',
      devices.map((device) => goodEditOf(device)),
    );
    const rolloutId = await rolloutOf(recording, repository.name, pushed.commit);
    await Promise.all(
      devices.map(async (device) => observed.arrivals.push(await arrivalOn(samples, recording, device, pushed, rolloutId))),
    );
  }
  out.table(
    [
      { title: 'DEVICE', value: ({ device }) => String(device) },
      { title: 'KIND', value: ({ kind }) => String(kind) },
      { title: 'COMMIT', value: ({ commit }) => String(commit).slice(0, 8) },
      { title: 'PUSH TO APPLIED', value: ({ sincePushMs }) => milliseconds(sincePushMs) },
      { title: 'HOOK TO APPLIED', value: ({ sinceHookMs }) => milliseconds(sinceHookMs) },
    ],
    observed.arrivals,
  );
  out.good(`${observed.arrivals.length} devices run their new configuration, ${samples.fleet.name} by one commit for all of its devices`);
}

/** Step 2: a commit that does not validate; its author learns why, and nothing happens to any device. @throws Problem `demo_incomplete` */
export async function pushInvalidCommit(samples: Samples, out: Output, observed: Observed): Promise<void> {
  const [repository] = samples.singles;
  const [device] = repository === undefined ? [] : devicesOf(samples, repository);
  if (repository === undefined || device === undefined) throw new Problem('demo_incomplete', 'Cannot play step 2: it needs a repository');
  const edit = INVALID_ON_TILL;
  out.heading(`2  A commit in ${repository.name} that breaks a rule: ${edit.to} in ${edit.file}`);
  const before = await inspectAll(samples);
  using recording = samples.feed.record();
  const pushed = await commitAndPush(repository, 'Move to another VLAN', [edit]);
  const rejected = await recording.find('the verdict on the invalid commit', isAbout('revision.rejected', pushed.commit));
  const revision = RevisionDetail.parse(await samples.api.get(`/revisions/${String(rejected.event.data.revisionId)}`));
  const errors = revision.paths.flatMap((path) => path.errors);
  demand(revision.verdict === 'invalid' && errors.length > 0, 'the verdict "invalid" with its reasons');
  out.bad(`commit ${pushed.commit.slice(0, 8)} refused after ${Math.round(rejected.atMs - pushed.startedMs)} ms`);
  for (const { file, line, pointer, rule, limit, actual } of errors)
    out.line(`    ${file}:${line ?? '?'}  ${pointer}  ${rule} ${JSON.stringify(limit)}, but it is ${JSON.stringify(actual)}`);
  const touched = differences(before, await inspectAll(samples));
  const deployments = recording.seen.filter(({ event }) => event.type.startsWith('deployment.'));
  demand(
    touched.length === 0 && deployments.length === 0 && revision.devices.length === 0,
    `devices left alone (touched: ${touched.join(', ')})`,
  );
  observed.rejectedRevisions += 1;
  out.good(`no device was touched: the files of all ${samples.devices.length} are byte for byte the same, and no deployment was made`);
}

/** Step 3: a commit that passes validation, but not the device's health check, so that the device rolls back. @throws Problem `demo_incomplete` */
export async function pushUnhealthyCommit(samples: Samples, out: Output, observed: Observed): Promise<void> {
  const repository = samples.singles[1];
  const [device] = repository === undefined ? [] : devicesOf(samples, repository);
  if (repository === undefined || device === undefined)
    throw new Problem('demo_incomplete', 'Cannot play step 3: it needs a second repository');
  const edit = UNHEALTHY_ON_ROUTER;
  out.heading(`3  A commit in ${repository.name} that validates, but does not work: ${edit.to} in ${edit.file}`);
  const before = await inspectAll(samples);
  using recording = samples.feed.record();
  const pushed = await commitAndPush(repository, 'Use another host', [edit]);
  const rolloutId = await rolloutOf(recording, repository.name, pushed.commit);
  await recording.find(`the failure on ${device.id}`, isStep(device.id, 'failed', rolloutId));
  const back = await recording.find(`the rollback of ${device.id}`, isStep(device.id, 'rolled_back', rolloutId));
  out.bad(
    `${device.id} applied ${pushed.commit.slice(0, 8)}, failed its health check, and was back after ${Math.round(back.atMs - pushed.startedMs)} ms`,
  );
  out.line('    its log:');
  for (const line of await complaintsOf(device, String(back.event.data.deploymentId))) out.line(`      ${line.replaceAll('\n', ' ')}`);
  const blockers = await blockersOf(samples.api, device.id);
  demand(blockers[0]?.code === 'rolled_back', `the reason "rolled_back" from why (${blockers.map(({ code }) => code).join(', ')})`);
  out.line('    why:');
  printBlockers(out, blockers);
  const after = await inspectAll(samples);
  const others = differences(before, after).filter((id) => id !== device.id);
  demand(before.get(device.id)?.files === after.get(device.id)?.files, `the files of ${device.id} as they were before`);
  demand(others.length === 0, `the other devices left alone (touched: ${others.join(', ')})`);
  observed.rolledBack += 1;
  out.good(`${device.id} runs what it ran before, byte for byte; the other devices were not touched`);
}

function devicesOf(samples: Samples, repository: Repository): DemoDevice[] {
  return samples.devices.filter((device) => device.repository === repository.name);
}

function goodEditOf({ kind, folder }: DemoDevice): Edit {
  return folder === '' ? kind.good : editIn(folder, kind.good);
}

/** The device said so, and its disk shows it. */
async function arrivalOn(samples: Samples, recording: Recording, device: DemoDevice, pushed: Pushed, rolloutId: string): Promise<Arrival> {
  const { atMs } = await recording.find(`the commit on ${device.id}`, isStep(device.id, 'succeeded', rolloutId));
  const { file, to } = device.kind.good;
  demand((await fileOn(device, file)).includes(to), `"${to}" in ${file} on ${device.id}`);
  const hookLeftMs = samples.repositories.hookLeftMs(pushed.commit);
  return {
    device: device.id,
    kind: device.kind.name,
    commit: pushed.commit,
    sincePushMs: atMs - pushed.startedMs,
    // A poll may have found the commit before its hook left.
    sinceHookMs: hookLeftMs === undefined || hookLeftMs > atMs ? null : atMs - hookLeftMs,
  };
}

type Inspection = Fingerprint & { deployments: string };

/** Each device's disk, and the attempts that were ever made on it. */
async function inspectAll({ devices, api }: Samples): Promise<Map<string, Inspection>> {
  const looks = await Promise.all(
    devices.map(async (device) => {
      const attempts = await api.list(`/devices/${device.id}/deployments`, {}, 500);
      return { ...(await fingerprintOf(device)), deployments: attempts.map(({ id }) => String(id)).join() };
    }),
  );
  return new Map(devices.map(({ id }, index): [string, Inspection] => [id, looks[index] ?? { files: '', reloads: 0, deployments: '' }]));
}

function differences(before: ReadonlyMap<string, Inspection>, after: ReadonlyMap<string, Inspection>): string[] {
  return [...before].filter(([id, look]) => JSON.stringify(look) !== JSON.stringify(after.get(id))).map(([id]) => id);
}

function milliseconds(value: unknown): string {
  return typeof value === 'number' ? `${Math.round(value)} ms` : '-';
}

import PQueue from 'p-queue';
import { backoff } from '../async/backoff.ts';
import { messageOf, Problem, retryOf } from '../errors.ts';
import { integrationProblem } from '../integration/problems.ts';
import type { RemoteDevice, Values } from '../integration/provider.ts';
import { dueExports, lockSynced, noteFailed, readSynced, type Synced } from '../integration/store/assignments.ts';
import { openFields } from '../integration/store/conflicts.ts';
import { logDevices } from '../integration/store/sync-log.ts';
import { mergeDevice, withoutFields } from './fields.ts';
import { isSame } from './merge.ts';
import { addCounts, type Merged, type Running, recordMerges } from './record.ts';

/** Devices that are read from the database at once. */
const BATCH = 40;
/** Devices written at once. The integration's own slots may allow fewer. */
const AT_ONCE = 4;
/** Devices per transaction. A crash in between repeats at most about so many writes, which then find their values there. */
const RECORDED = 40;
const RETRY_SECONDS = { base: 30, cap: 3_600 };

/** `before` and `after` the write, as the platform showed the device. */
type Written = { deviceId: string; before: RemoteDevice; after: RemoteDevice; exported: Values };
type Failure = { device: Synced; error: Problem };
type Outcome = Written | Failure;

/** Errors that are about the whole platform: the run ends, and the devices stay due. */
const WHOLE = new Set(['integration_unauthorized', 'integration_rate_limited', 'integration_unavailable', 'integration_unreachable']);

export function isAboutPlatform(error: unknown): boolean {
  return !(error instanceof Problem) || WHOLE.has(error.code) || !error.code.startsWith('integration_');
}

/** Writes what waits here to the platform, device by device, a few at once. A device that fails is tried again later, and the others go on. */
export async function exportDue(running: Running): Promise<void> {
  await inParallel(
    dueDevices(running),
    ({ device, open }) => write(running, device, open),
    (done) => record(running, done),
  );
}

/** `open`: fields about which a person has to decide. */
async function* dueDevices({ deps, context, signal }: Running): AsyncGenerator<{ device: Synced; open: ReadonlySet<string> }> {
  const { sql } = deps.store;
  const { integration } = context;
  let after = '';
  for (;;) {
    signal.throwIfAborted();
    const ids = await dueExports(sql, integration, after, BATCH);
    after = ids.at(-1) ?? '';
    if (ids.length === 0) return;
    const devices = await readSynced(sql, integration, ids);
    const open = await openFields(sql, integration, ids);
    for (const device of devices) yield { device, open: open.get(device.deviceId) ?? new Set() };
  }
}

/** Reads the device just before, since platforms have no compare-and-set, and writes the fewest fields. @throws errors about the whole platform */
async function write({ context, platform, signal }: Running, device: Synced, open: ReadonlySet<string>): Promise<Outcome> {
  try {
    const before = await readBefore({ platform, signal }, device);
    // Only a platform that was read just before shows whether a conflict is still one.
    const rules = platform.read === undefined ? withoutFields(context.rules, open) : context.rules;
    const { remote } = mergeDevice(rules, device, before);
    if (platform.update === undefined)
      throw integrationProblem('integration_unsupported', `Cannot write device "${device.deviceId}": the platform takes no changes`);
    if (Object.keys(remote).length === 0) return { deviceId: device.deviceId, before, after: before, exported: {} };
    const after = await platform.update(before.externalId, remote, signal);
    checkTaken(context, device, { before, after, exported: remote });
    return { deviceId: device.deviceId, before, after, exported: remote };
  } catch (error) {
    signal.throwIfAborted();
    if (isAboutPlatform(error)) throw error;
    return { device, error: error as Problem };
  }
}

/**
 * A platform that shows no single device is taken to have the last common values. It has other ones in fields about which a person has to decide: those
 * are left out of the write.
 */
async function readBefore({ platform, signal }: Pick<Running, 'platform' | 'signal'>, device: Synced): Promise<RemoteDevice> {
  const externalId = device.externalId ?? '';
  if (platform.read !== undefined) {
    const shown = await platform.read(externalId, signal);
    if (shown !== undefined) return shown;
    throw integrationProblem(
      'integration_not_found',
      `Cannot write device "${device.deviceId}": the platform has no device "${externalId}"`,
    );
  }
  const { connectivity, lastSeenAt, identities, base } = device;
  return { externalId, identities, values: base, connectivity, lastSeenAt, details: {}, updatedAt: null };
}

/** @throws Problem for a field that still has the value of before: otherwise the next merge would take it for an edit there */
function checkTaken({ rules }: Running['context'], device: Synced, { before, after, exported }: Omit<Written, 'deviceId'>): void {
  const ignored = Object.entries(exported).filter(([field, value]) => {
    const kind = rules.get(field)?.kind ?? 'scalar';
    const shown = after.values[field];
    return shown !== undefined && !isSame(kind, shown, value) && isSame(kind, shown, before.values[field]);
  });
  if (ignored.length === 0) return;
  const names = ignored.map(([field]) => `"${field}"`).join(', ');
  throw integrationProblem('integration_rejected', `Cannot write device "${device.deviceId}": the platform still shows the old ${names}`);
}

async function record(running: Running, outcomes: readonly Outcome[]): Promise<void> {
  const { context, platform } = running;
  const { integration } = context;
  const written = new Map(outcomes.flatMap((one) => ('deviceId' in one ? [[one.deviceId, one] as const] : [])));
  const failed = outcomes.filter((one): one is Failure => 'error' in one);
  await running.advance(async (unit) => {
    const locked = await lockSynced(unit.tx, integration, [...written.keys()]);
    // As they are now: a person may have decided meanwhile.
    const open = platform.read === undefined ? await openFields(unit.tx, integration, [...written.keys()]) : undefined;
    const merged = locked.flatMap((device): Merged[] => {
      const one = written.get(device.deviceId);
      if (one === undefined) return [];
      // The written values are common now. A difference that the platform shows after them is its own change.
      const known = { ...device, base: { ...device.base, ...one.exported } };
      const shown = { ...one.after, values: { ...one.exported, ...one.after.values } };
      const more = Object.keys(one.exported).length > 0 ? { exported: one.exported } : {};
      const undecided = open?.get(device.deviceId) ?? new Set();
      const merge = mergeDevice(withoutFields(context.rules, undecided), known, shown);
      return [{ device: known, merge, shown, hash: null, undecided, ...more }];
    });
    const counts = await recordMerges(unit, context, merged);
    await recordFailures(unit.tx, running, failed);
    return { counts: addCounts(counts, { failed: failed.length }) };
  });
}

export async function recordFailures(
  tx: Parameters<typeof noteFailed>[0],
  { context }: Running,
  failed: readonly Failure[],
): Promise<void> {
  const { integration, runId } = context;
  await noteFailed(
    tx,
    integration,
    failed.map(({ device, error }) => ({
      ...{ deviceId: device.deviceId, code: error.code, detail: messageOf(error) },
      // A value that the platform does not take may be taken later, as a name that is free again: it is tried at the longest pause.
      retryInSeconds: retryOf(error) === 'never' ? RETRY_SECONDS.cap : backoff(RETRY_SECONDS, device.failures + 1),
    })),
  );
  await logDevices(
    tx,
    integration,
    runId,
    failed.map(({ device, error }) => ({
      ...{
        deviceId: device.deviceId,
        externalId: device.externalId,
        operation: 'export',
        direction: 'export',
        status: 'failed',
        details: {},
      },
      ...{ code: error.code, error: messageOf(error) },
    })),
  );
}

/**
 * Works on items until one fails because of the whole platform. The others that were under way end, and all that is done is recorded. Recording, and
 * reading more items, hold up no work: as many items again wait for their turn.
 * @throws the failure of the platform, or of recording
 */
export async function inParallel<Item, Result>(
  items: AsyncIterable<Item>,
  work: (item: Item) => Promise<Result>,
  record: (done: Result[]) => Promise<void>,
): Promise<void> {
  const workers = new PQueue({ concurrency: AT_ONCE });
  const done: Result[] = [];
  let broken: { error: unknown } | undefined;
  const fail = (error: unknown) => {
    broken ??= { error };
  };
  const start = (item: Item) =>
    workers.add(async () => {
      if (broken === undefined) await work(item).then((result) => done.push(result), fail);
    });
  try {
    for await (const item of items) {
      if (broken !== undefined) break;
      void start(item);
      if (done.length >= RECORDED) await record(done.splice(0));
      await workers.onSizeLessThan(AT_ONCE);
    }
  } catch (error) {
    fail(error);
  }
  await workers.onIdle();
  if (done.length > 0) await record(done);
  if (broken !== undefined) throw broken.error;
}

import { pause } from '../async/pause.ts';
import { Problem } from '../errors.ts';
import type { Topic } from '../wire/live.ts';
import { asItem, type Call, renderOptionsOf } from './call.ts';
import type { Item } from './client.ts';
import { plain } from './table.ts';
import { watchLive } from './watch.ts';

/** Pause between two renderings, so that a busy fleet does not flicker. */
const RENDER_INTERVAL_MS = 250;
/** A device without a change for this long after a command has nothing to do, ms. */
const SETTLED_AFTER_MS = 10_000;

const CLEAR = '\x1b[H\x1b[2J';

/** Runs `show` once. With `--watch` it repeats `show` after each change until the signal aborts. */
export async function showAgain(call: Call, topics: Topic[], show: () => Promise<void>): Promise<void> {
  if (!call.watch) return show();
  const { server, token, proxies, io } = call;
  for await (const message of watchLive({ server, token, proxies, topics, signal: io.signal })) {
    if (message.kind === 'event') continue;
    if (io.columns !== undefined && !call.json) io.out(CLEAR);
    await show();
    await pause(RENDER_INTERVAL_MS);
  }
}

/** Prints each state of the device until no attempt is open. @throws Problem when the device ends in a failure */
export async function followDevice(call: Call): Promise<void> {
  const path = `/devices/${call.segment(0)}/status`;
  let shown = '';
  let changes = 0;
  const startedMs = Date.now();
  for await (const _message of watchLive({
    ...call,
    topics: [`device:${call.args[0]}`],
    signal: call.io.signal,
    pollMs: 2_000,
    pollAlways: true,
  })) {
    const state = asItem(await call.client.get(path)) ?? {};
    const line = stateLine(state);
    if (line !== shown) {
      changes += 1;
      call.io.out(call.json ? `${JSON.stringify(state)}\n` : `${renderOptionsOf(call.io).now.toISOString()}  ${line}\n`);
    }
    shown = line;
    const isOver = changes > 1 || Date.now() - startedMs > SETTLED_AFTER_MS;
    if (isOver && isSettled(state, call.args[0] ?? '')) return;
  }
}

function stateLine(state: Item): string {
  const device = asItem(state.device) ?? state;
  const attempt = asItem(state.deployment)?.state;
  const texts = [
    device.syncStatus,
    device.connectivity,
    typeof attempt === 'string' ? `deployment ${attempt}` : undefined,
    failureOf(state),
  ];
  return plain(texts.filter((one) => typeof one === 'string').join('  '));
}

const OPEN = ['queued', 'delivering', 'applying', 'confirming'];
const FAILED = ['failed', 'rolled_back', 'timed_out'];

/** An open attempt counts more than the device's status: an older service reports `held` during a rollback. */
function isSettled(state: Item, id: string): boolean {
  const status = String((asItem(state.device) ?? state).syncStatus);
  const attempt = String(asItem(state.deployment)?.state);
  if (status === 'pending' || status === 'updating' || OPEN.includes(attempt)) return false;
  const ended = [status, attempt].find((one) => FAILED.includes(one));
  if (ended === undefined || status === 'in_sync') return true;
  throw new Problem('not_converged', `Device "${id}" ended as ${ended}: ${failureOf(state) ?? 'see its deployments'}`);
}

function failureOf(state: Item): string | undefined {
  const error = asItem((asItem(state.device) ?? state).error) ?? asItem(asItem(state.deployment)?.error);
  return error === undefined ? undefined : plain(`${String(error.code)}: ${String(error.detail)}`);
}

import { io, type Socket } from 'socket.io-client';
import type { DeviceUpdate, LiveEvent, SubscribeAnswer } from '../../../src/wire/live.ts';
import { LIVE_NAMESPACE } from '../../../src/wire/page/addresses.ts';
import { basePath } from '../app/base-path.ts';

/** `live`: events arrive. `cut`: what the page shows is as of `asOf` (milliseconds since 1970). */
export type LiveState = { status: 'connecting' | 'live' | 'cut'; asOf: number };
export type LiveBatch = { events: readonly LiveEvent[]; updates: readonly DeviceUpdate[] };
type Listener = (batch: LiveBatch) => void;

const HEARTBEAT_MS = 1_000;
/** Without an answer for this time the page no longer claims to be live. */
const CUT_AFTER_MS = 1_900;
/** Events of this time are handled together, so that storms cost one render. */
const BATCH_MS = 100;

/**
 * The one connection to `/live`. It counts who wants which topic, replays what was missed after a reconnect, and never says `live` while the service
 * does not answer.
 */
export class LiveConnection {
  #socket: Socket | undefined;
  #state: LiveState = { status: 'connecting', asOf: Date.now() };
  #cursor: number | undefined;
  #timer: number | undefined;
  #flushing: number | undefined;
  #events: LiveEvent[] = [];
  #updates = new Map<string, DeviceUpdate>();
  readonly #topics = new Map<string, number>();
  readonly #listeners = new Set<Listener>();
  readonly #watchers = new Set<() => void>();
  readonly #onGap: () => void;

  /** `onGap`: events were missed that cannot be replayed: everything shown is read again. `after`: the last event before anything was read. */
  constructor(onGap: () => void, after: number | undefined) {
    this.#onGap = onGap;
    this.#cursor = after;
  }

  open(): void {
    if (this.#socket !== undefined) return;
    const socket = io(`${location.origin}${LIVE_NAMESPACE}`, {
      path: `${basePath}/socket.io`,
      transports: ['websocket'],
      reconnectionDelay: 300,
      reconnectionDelayMax: 5_000,
    });
    this.#socket = socket;
    socket.on('connect', () => void this.#subscribeAll());
    socket.on('disconnect', () => this.#cut());
    // The service ends a connection on purpose when it stops or the session ends; Socket.IO does not try again by itself then.
    socket.on('closing', () => setTimeout(() => socket.connected || socket.connect(), 1_000));
    socket.on('event', (event: LiveEvent) => this.#take(() => this.#events.push(event), event.cursor));
    socket.on('device_update', (update: DeviceUpdate) => this.#take(() => this.#updates.set(update.device_id, update), update.cursor));
    this.#timer = window.setInterval(() => this.#beat(), HEARTBEAT_MS);
    window.addEventListener('offline', this.#cut);
  }

  close(): void {
    window.removeEventListener('offline', this.#cut);
    window.clearInterval(this.#timer);
    window.clearTimeout(this.#flushing);
    this.#socket?.disconnect();
    this.#socket = undefined;
  }

  get state(): LiveState {
    return this.#state;
  }

  /** For `useSyncExternalStore`. */
  readonly watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  listen(topics: readonly string[], listener: Listener): () => void {
    this.#listeners.add(listener);
    const added = topics.filter((topic) => this.#count(topic, 1) === 1);
    if (added.length > 0) void this.#subscribe(added, undefined);
    return () => {
      this.#listeners.delete(listener);
      const gone = topics.filter((topic) => this.#count(topic, -1) === 0);
      if (gone.length > 0) this.#socket?.emit('unsubscribe', { topics: gone });
    };
  }

  #count(topic: string, by: number): number {
    const count = (this.#topics.get(topic) ?? 0) + by;
    if (count === 0) this.#topics.delete(topic);
    else this.#topics.set(topic, count);
    return count;
  }

  async #subscribeAll(): Promise<void> {
    const topics = [...this.#topics.keys()];
    if (topics.length > 0) await this.#subscribe(topics, this.#cursor);
    this.#beat();
  }

  async #subscribe(topics: readonly string[], after: number | undefined): Promise<void> {
    if (this.#socket?.connected !== true) return;
    const request = after === undefined ? { topics } : { topics, after };
    const answer: SubscribeAnswer | undefined = await this.#socket
      .timeout(10_000)
      .emitWithAck('subscribe', request)
      .catch(() => undefined);
    if (answer === undefined) return;
    if (answer.ok) {
      this.#cursor = Math.max(this.#cursor ?? 0, answer.cursor);
      return;
    }
    if (answer.code === 'cursor_too_old') {
      this.#cursor = answer.last;
      this.#onGap();
      await this.#subscribe(topics, undefined);
      return;
    }
    if (answer.code === 'busy' || answer.code === 'unavailable') setTimeout(() => void this.#subscribe(topics, after), 1_000);
  }

  #beat(): void {
    const socket = this.#socket;
    if (socket?.connected === true)
      socket.timeout(CUT_AFTER_MS).emit('heartbeat', (error: unknown) => {
        if (error === null || error === undefined) this.#alive();
      });
    if (this.#state.status === 'live' && Date.now() - this.#state.asOf > CUT_AFTER_MS) this.#cut();
  }

  #alive(): void {
    const changed = this.#state.status !== 'live';
    this.#state = { status: 'live', asOf: Date.now() };
    if (changed) this.#tell();
  }

  readonly #cut = (): void => {
    if (this.#state.status !== 'live') return;
    this.#state = { ...this.#state, status: 'cut' };
    this.#tell();
  };

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #take(keep: () => void, cursor: number): void {
    keep();
    this.#cursor = Math.max(this.#cursor ?? 0, cursor);
    this.#flushing ??= window.setTimeout(() => this.#flush(), BATCH_MS);
  }

  #flush(): void {
    this.#flushing = undefined;
    const batch = { events: this.#events, updates: [...this.#updates.values()] };
    this.#events = [];
    this.#updates = new Map();
    for (const listener of this.#listeners) listener(batch);
  }
}

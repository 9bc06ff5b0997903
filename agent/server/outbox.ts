import { type FileHandle, open, readFile } from 'node:fs/promises';
import { REPORT_GATHER_MS, Report, type ReportsResponse, UNATTENDED } from '../../src/wire/agent.ts';
import { messageOf, Problem } from '../../src/wire/problem.ts';
import { isCode, writeDurably } from '../disk/files.ts';
import type { Fault } from '../faults.ts';
import type { Log } from '../log.ts';
import { pauseMs } from '../time/backoff.ts';
import { type Bell, createBell, createTurn, pause, type Turn } from '../time/signals.ts';

/** Reports in a request: the protocol's limit. */
const BATCH = 500;
/** Durable reports kept while the server is unreachable. Beyond it the outbox drops the oldest. */
const MAX_DURABLE = 10_000;
/** Heartbeats, measurements and log lines kept while the server is unreachable. */
const MAX_VOLATILE = 200;
/** Sent lines in the file after which the outbox rewrites it, bytes. */
const COMPACT_BYTES = 256 * 1024;

export type SendReports = (reports: Report[], fresh: boolean, signal: AbortSignal) => Promise<ReportsResponse>;

/**
 * Reports that wait for the server, in order. Deployment, deferral, command and drift reports are on the disk from the return of `add` until
 * the server has them. The outbox may send a report twice; its id makes that harmless.
 */
export type Outbox = {
  add(reports: Report[]): Promise<void>;
  /** Sends waiting reports until the signal fires. */
  run(signal: AbortSignal): Promise<void>;
  /** While held, only `confirm` sends. */
  hold(held: boolean): void;
  /**
   * Sends all waiting reports over a new connection until the server has them.
   * @returns whether the server confirmed the deployment
   * @throws the signal's reason
   */
  confirm(deploymentId: string, signal: AbortSignal): Promise<boolean>;
  readonly waiting: number;
  close(): Promise<void>;
};

type Entry = { report: Report; bytes: number };

/** Sets a folder at `path` aside. @throws an error of the disk */
export async function openOutbox(path: string, sendReports: SendReports, log: Log, fault: Fault): Promise<Outbox> {
  const entries = await readEntries(path);
  await writeDurably(path, entries.map(({ report }) => lineOf(report)).join(''));
  return new FileOutbox(path, await open(path, 'a'), entries, sendReports, log, fault);
}

class FileOutbox implements Outbox {
  readonly #path: string;
  #file: FileHandle;
  #entries: Entry[];
  #sentBytes = 0;
  #held = false;
  /** A failed append, on a full disk for example, may have left a part of a line. */
  #torn = false;
  #inFlight = new AbortController();
  readonly #send: SendReports;
  readonly #log: Log;
  readonly #fault: Fault;
  readonly #bell: Bell = createBell();
  /** One request at a time, and one write at a time. */
  readonly #sending: Turn = createTurn();
  readonly #writing: Turn = createTurn();

  constructor(path: string, file: FileHandle, entries: Entry[], send: SendReports, log: Log, fault: Fault) {
    this.#path = path;
    this.#file = file;
    this.#entries = entries;
    this.#send = send;
    this.#log = log;
    this.#fault = fault;
  }

  get waiting(): number {
    return this.#entries.length;
  }

  hold(held: boolean): void {
    this.#held = held;
    if (held) this.#inFlight.abort();
    this.#bell.ring();
  }

  async add(reports: Report[]): Promise<void> {
    const known = new Set(this.#entries.map(({ report }) => report.id));
    const added = reports
      .filter(({ id }) => !known.has(id))
      .map((report) => ({ report, bytes: isDurable(report) ? Buffer.byteLength(lineOf(report)) : 0 }));
    if (added.length === 0) return;
    this.#entries.push(...added);
    this.#dropOldest();
    const lines = added.filter(({ bytes }) => bytes > 0).map(({ report }) => lineOf(report));
    if (lines.length > 0) await this.#writing(() => this.#append(lines.join('')));
    this.#bell.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      if (this.#held || this.#entries.length === 0) {
        await this.#bell.wait(signal);
        continue;
      }
      await this.#gather(signal);
      const pauseFor = await this.#sending(() =>
        this.#held || this.#entries.length === 0 ? Promise.resolve(0) : this.#trySend(failures, signal),
      );
      failures = pauseFor === 0 ? 0 : failures + 1;
      await pause(pauseFor, signal);
    }
  }

  /** Collects reports for `REPORT_GATHER_MS`, unless one is urgent. */
  async #gather(signal: AbortSignal): Promise<void> {
    const due = performance.now() + REPORT_GATHER_MS;
    for (let left = REPORT_GATHER_MS; left > 0 && !signal.aborted && !this.#held; left = due - performance.now()) {
      if (this.#entries.some(({ report }) => isUrgent(report))) return;
      await this.#bell.wait(signal, left);
    }
  }

  async confirm(deploymentId: string, signal: AbortSignal): Promise<boolean> {
    return this.#sending(async () => {
      for (let attempt = 0; ; attempt += 1) {
        signal.throwIfAborted();
        try {
          return await this.#sendAll(deploymentId, signal);
        } catch (error) {
          signal.throwIfAborted();
          this.#log('warn', 'failed to confirm; the next try follows', { deploymentId, error: messageOf(error) });
          await pause(pauseMs(Math.min(attempt, 3), undefined, Math.random()), signal);
        }
      }
    });
  }

  async close(): Promise<void> {
    await this.#writing(() => this.#file.close());
  }

  async #sendAll(deploymentId: string, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      const batch = this.#entries.slice(0, BATCH);
      if (batch.length === 0) throw new Problem('confirm_refused', `Cannot confirm "${deploymentId}": the server refused the report`);
      const asked = batch.some(
        ({ report }) => report.kind === 'deployment' && report.state === 'confirming' && report.deploymentId === deploymentId,
      );
      const response = await this.#sendBatch(batch, true, signal);
      if (asked && response !== null) return response.confirmed.includes(deploymentId);
    }
  }

  /** @returns the pause until the next request, ms */
  async #trySend(failures: number, signal: AbortSignal): Promise<number> {
    this.#inFlight = new AbortController();
    try {
      await this.#sendBatch(this.#entries.slice(0, BATCH), false, AbortSignal.any([signal, this.#inFlight.signal]));
      return 0;
    } catch (error) {
      if (signal.aborted || this.#inFlight.signal.aborted) return 0;
      this.#log('warn', 'failed to send reports; the next try follows', { waiting: this.#entries.length, error: messageOf(error) });
      return Math.max(1, pauseMs(failures, error instanceof Problem ? error.retryAfterSeconds : undefined, Math.random()));
    }
  }

  /** Halves a batch that the server refuses as invalid until it finds the bad report, and drops that one. @returns null: it was dropped */
  async #sendBatch(batch: Entry[], fresh: boolean, signal: AbortSignal): Promise<ReportsResponse | null> {
    const reports = batch.map(({ report }) => report);
    try {
      const response = await this.#send(reports, fresh, signal);
      await this.#forget(batch);
      return response;
    } catch (error) {
      if (!(error instanceof Problem) || (error.status !== 400 && error.status !== 413 && error.status !== 422)) throw error;
      if (batch.length > 1) return this.#sendBatch(batch.slice(0, Math.ceil(batch.length / 2)), fresh, signal);
      this.#log('error', 'failed to send a report; the server refused it and it is dropped', { report: reports[0], error: error.message });
      await this.#forget(batch);
      return null;
    }
  }

  async #append(lines: string): Promise<void> {
    this.#fault('before_outbox_write');
    if (this.#torn) return this.#rewrite();
    this.#torn = true;
    await this.#file.writeFile(lines);
    await this.#file.datasync();
    this.#torn = false;
    this.#fault('after_outbox_write');
  }

  /** Removes sent reports from the file when nothing durable waits, and at `COMPACT_BYTES` of them at the latest. */
  async #forget(sent: Entry[]): Promise<void> {
    const gone = new Set(sent);
    this.#entries = this.#entries.filter((entry) => !gone.has(entry));
    this.#sentBytes += sent.reduce((sum, { bytes }) => sum + bytes, 0);
    const nothingDurable = this.#entries.every(({ bytes }) => bytes === 0);
    if (this.#sentBytes === 0 || (!nothingDurable && this.#sentBytes < COMPACT_BYTES)) return;
    await this.#writing(() => this.#rewrite());
  }

  async #rewrite(): Promise<void> {
    const lines = this.#entries.filter(({ bytes }) => bytes > 0).map(({ report }) => lineOf(report));
    // Without a flush: if the lines return after a power cut, the outbox sends them a second time.
    if (lines.length === 0) await this.#file.truncate(0);
    else await this.#replaceFile(lines.join(''));
    this.#sentBytes = 0;
    this.#torn = false;
  }

  async #replaceFile(lines: string): Promise<void> {
    await this.#file.close();
    try {
      await writeDurably(this.#path, lines);
    } finally {
      this.#file = await open(this.#path, 'a');
    }
  }

  #dropOldest(): void {
    for (const [durable, limit] of [
      [true, MAX_DURABLE],
      [false, MAX_VOLATILE],
    ] as const) {
      let excess = this.#entries.filter(({ bytes }) => bytes > 0 === durable).length - limit;
      if (excess > 0) this.#entries = this.#entries.filter(({ bytes }) => bytes > 0 !== durable || excess-- <= 0);
    }
  }
}

function isDurable(report: Report): boolean {
  return report.kind === 'deployment' || report.kind === 'deferred' || report.kind === 'command' || report.kind === 'drift';
}

function isUrgent(report: Report): boolean {
  if (report.kind === 'deployment') return report.state !== 'delivering' && report.state !== 'applying';
  return !UNATTENDED.includes(report.kind);
}

function lineOf(report: Report): string {
  return `${JSON.stringify(report)}\n`;
}

/** Skips a torn last line after a power cut: `add` had not returned, so no caller relies on it. */
async function readEntries(path: string): Promise<Entry[]> {
  let text = '';
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (!isCode(error, 'ENOENT', 'EISDIR')) throw error;
  }
  const byId = new Map<string, Entry>();
  for (const line of text.split('\n')) {
    const report = parseLine(line);
    if (report !== null) byId.set(report.id, { report, bytes: Buffer.byteLength(line) + 1 });
  }
  return [...byId.values()];
}

function parseLine(line: string): Report | null {
  try {
    return Report.parse(JSON.parse(line));
  } catch {
    return null;
  }
}

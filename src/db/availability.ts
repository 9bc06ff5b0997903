import { within } from '../async/deadline.ts';
import { closeOnce } from '../async/lifecycle.ts';
import { pause } from '../async/pause.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { connect, type Sql } from './connect.ts';

/** Whether the database answers, as far as this process knows. It probes about once a second over a connection of its own. */
export type Availability = {
  isUp(): boolean;
  /** Calls `notify` when the database becomes unavailable. @returns the function that ends the subscription */
  onLost(notify: () => void): () => void;
  close(): Promise<void>;
};

const CHECK_EVERY_MS = 1_000;
/** While the database is unavailable, so that its return is detected soon. */
const CHECK_AGAIN_MS = 200;
/** A database under load answers an empty query sooner than this. */
const LATE_MS = 10_000;
/** A probe without an answer for this long is dropped with its connection, which may be dead. */
const GIVE_UP_MS = 10_000;

export function watchDatabase(url: string, log: Log): Availability {
  const listeners = new Set<() => void>();
  const closing = new AbortController();
  let sql = open(url);
  let lostAt: number | undefined;
  const note = (up: boolean, why: string) => {
    if (up && lostAt !== undefined) {
      log.info({ awayMs: Math.round(performance.now() - lostAt) }, 'database available again');
      lostAt = undefined;
    } else if (!up && lostAt === undefined) {
      lostAt = performance.now();
      log.error({ why }, 'database unavailable; requests are answered 503 until it answers');
      for (const notify of [...listeners]) notify();
    }
  };
  const watching = (async () => {
    while (!closing.signal.aborted) {
      const probed = probe(sql);
      let outcome = await within(LATE_MS, probed, closing.signal);
      if (outcome === undefined) {
        note(false, `no answer within ${LATE_MS} ms`);
        outcome = await within(GIVE_UP_MS, probed, closing.signal);
      }
      if (outcome === undefined) {
        void sql.end({ timeout: 0 });
        sql = open(url);
      } else note(outcome.up, outcome.why);
      await pause(lostAt === undefined ? CHECK_EVERY_MS : CHECK_AGAIN_MS, closing.signal);
    }
  })();
  return {
    isUp: () => lostAt === undefined,
    onLost: (notify) => {
      listeners.add(notify);
      return () => void listeners.delete(notify);
    },
    close: closeOnce(async () => {
      closing.abort();
      await watching;
      await sql.end({ timeout: 0 });
    }),
  };
}

function open(url: string): Sql {
  return connect(url, { max: 1, applicationName: 'bellwether probe' });
}

type Outcome = { up: boolean; why: string };

function probe(sql: Sql): Promise<Outcome> {
  return sql`select 1`.then(
    () => ({ up: true, why: '' }),
    (error: unknown) => ({ up: false, why: messageOf(error) }),
  );
}

/** @throws while the database does not answer */
export async function probeDatabase(sql: Sql): Promise<void> {
  await sql`select 1`;
}

import { within } from '../async/deadline.ts';
import { closeOnce } from '../async/lifecycle.ts';
import { pause } from '../async/pause.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { connect, type Sql } from './connect.ts';

/** Whether the database answers, as far as this process knows: probed about once a second, over a connection of its own. */
export type Availability = {
  isUp(): boolean;
  /** Calls `notify` when the database goes away, until the function that it returns is called. */
  onLost(notify: () => void): () => void;
  close(): Promise<void>;
};

const CHECK_EVERY_MS = 1_000;
/** While it is away: that it is back is to be known soon. */
const CHECK_AGAIN_MS = 200;
/** Longer than a database under load takes for nothing. */
const LATE_MS = 10_000;
/** A question without an answer for this long is given up with its connection, which may lead nowhere. */
const GIVE_UP_MS = 10_000;

export function watchDatabase(url: string, log: Log): Availability {
  const listeners = new Set<() => void>();
  const closing = new AbortController();
  let sql = open(url);
  let lostAt: number | undefined;
  const note = (up: boolean, why: string) => {
    if (up && lostAt !== undefined) {
      log.info({ awayMs: Math.round(performance.now() - lostAt) }, 'the database is back');
      lostAt = undefined;
    } else if (!up && lostAt === undefined) {
      lostAt = performance.now();
      log.error({ why }, 'the database is away: requests are answered 503 until it is back');
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

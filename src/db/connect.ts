import postgres from 'postgres';
import { backoff } from '../async/backoff.ts';

const RECONNECT_SECONDS = { base: 0.02, cap: 1 };

/** A pool, or a transaction of it. Every store function takes one as its first parameter. */
export type Sql = postgres.Sql;
export type Tx = postgres.TransactionSql;
export type Db = Sql | Tx;

export type PoolOptions = {
  max?: number;
  applicationName?: string;
  /**
   * Plans each statement anew, for its own values and the present size of the tables. This costs little. A plan that was kept from small tables
   * would scan them whole once they are large. `unprepared` is for a transaction-mode pooler, whose sessions keep neither settings nor statements.
   */
  freshPlans?: 'setting' | 'unprepared';
};

/**
 * Opens a pool. It returns `bigint` columns as numbers (all values stay far below 2^53), times as `Date`, and bytea as Buffer.
 * The URL may name a Unix socket directory: `postgresql://user@localhost/db?host=/dir`.
 */
export function connect(url: string, options: PoolOptions = {}): Sql {
  const parsed = new URL(url);
  const socketDir = parsed.searchParams.get('host');
  parsed.searchParams.delete('host');
  return postgres(parsed.href, {
    ...(socketDir === null ? {} : { host: socketDir, path: `${socketDir}/.s.PGSQL.${parsed.port || 5432}` }),
    max: options.max ?? 10,
    idle_timeout: 0,
    connect_timeout: 10,
    // The client's own pauses grow to 20 s and would prolong an outage by as much.
    backoff: (retries: number) => backoff(RECONNECT_SECONDS, retries + 1),
    onnotice: () => {},
    prepare: options.freshPlans !== 'unprepared',
    connection: {
      application_name: options.applicationName ?? 'bellwether',
      ...(options.freshPlans === 'setting' ? { plan_cache_mode: 'force_custom_plan' } : {}),
    },
    types: { bigint: { to: 20, from: [20], serialize: (value: number | bigint) => String(value), parse: (text: string) => Number(text) } },
  }) as unknown as Sql;
}

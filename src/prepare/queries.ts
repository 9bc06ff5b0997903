import type { MessagePort } from 'node:worker_threads';
import type { DeviceFacts } from '../device/facts.ts';
import { messageOf } from '../errors.ts';

/** Queries to the database while a commit is prepared, for the folders that are concerned and no others. */
export type Queries = {
  /** Facts of the devices that are bound to these folders, by folder. Folders without a device are left out. */
  devicesOf(paths: readonly string[]): Promise<ReadonlyMap<string, readonly DeviceFacts[]>>;
  /** Adapters of the devices that are bound to these folders, by folder, but for agents. Folders without such a device are left out. */
  adaptersOf(paths: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>>;
  /** Folders whose last evaluation depended on one of these paths of the repository. */
  dependents(paths: readonly string[]): Promise<string[]>;
};

type Query = { id: number; name: keyof Queries; paths: readonly string[] };
type Answer = { id: number; value: unknown } | { id: number; failed: string };

/** Answers queries from another thread until the port is closed. `failed` gets each error, of which the other thread gets the message alone. */
export function serveQueries(port: MessagePort, queries: Queries, failed: (error: unknown) => void): void {
  port.on('message', async ({ id, name, paths }: Query) => {
    try {
      port.postMessage({ id, value: await queries[name](paths) } satisfies Answer);
    } catch (error) {
      failed(error);
      port.postMessage({ id, failed: messageOf(error) } satisfies Answer);
    }
  });
}

/** Queries that another thread answers. */
export function queriesThrough(port: MessagePort): Queries {
  let sent = 0;
  const query = <T>(name: keyof Queries, paths: readonly string[]): Promise<T> =>
    new Promise((resolve, reject) => {
      const id = ++sent;
      const receive = (answer: { id: number; value: T } | { id: number; failed: string }): void => {
        if (answer.id !== id) return;
        port.off('message', receive);
        if ('failed' in answer) reject(new Error(answer.failed));
        else resolve(answer.value);
      };
      port.on('message', receive);
      port.postMessage({ id, name, paths } satisfies Query);
    });
  return {
    devicesOf: (paths) => query('devicesOf', paths),
    adaptersOf: (paths) => query('adaptersOf', paths),
    dependents: (paths) => query('dependents', paths),
  };
}

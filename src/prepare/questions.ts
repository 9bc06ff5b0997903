import type { MessagePort } from 'node:worker_threads';
import type { DeviceFacts } from '../device/facts.ts';
import { messageOf } from '../errors.ts';

/** What preparing a commit asks of the database in the course of it, and only for the folders that turn out to be concerned. */
export type Inquiries = {
  /** What is known of the devices that are bound to these folders, by folder; nothing of folders without a device. */
  devicesOf(paths: readonly string[]): Promise<ReadonlyMap<string, readonly DeviceFacts[]>>;
  /** Folders whose last evaluation depended on one of these paths of the repository. */
  dependents(paths: readonly string[]): Promise<string[]>;
};

type Question = { id: number; ask: keyof Inquiries; paths: readonly string[] };
type Answer = { id: number; value: unknown } | { id: number; failed: string };

/** Answers what `askThrough` asks at the other end, until the port is closed. `failed` is told of each error, which the other end only hears of. */
export function answerThrough(port: MessagePort, inquiries: Inquiries, failed: (error: unknown) => void): void {
  port.on('message', async ({ id, ask, paths }: Question) => {
    try {
      port.postMessage({ id, value: await inquiries[ask](paths) } satisfies Answer);
    } catch (error) {
      failed(error);
      port.postMessage({ id, failed: messageOf(error) } satisfies Answer);
    }
  });
}

/** The inquiries from another thread. */
export function askThrough(port: MessagePort): Inquiries {
  let asked = 0;
  const ask = <T>(what: keyof Inquiries, paths: readonly string[]): Promise<T> =>
    new Promise((resolve, reject) => {
      const id = ++asked;
      const listen = (answer: { id: number; value: T } | { id: number; failed: string }): void => {
        if (answer.id !== id) return;
        port.off('message', listen);
        if ('failed' in answer) reject(new Error(answer.failed));
        else resolve(answer.value);
      };
      port.on('message', listen);
      port.postMessage({ id, ask: what, paths } satisfies Question);
    });
  return { devicesOf: (paths) => ask('devicesOf', paths), dependents: (paths) => ask('dependents', paths) };
}

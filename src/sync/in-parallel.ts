import PQueue from 'p-queue';

/** Devices written at once. The integration's own slots may allow fewer. */
const AT_ONCE = 4;
/** Devices per transaction. A crash in between repeats at most about so many writes, which then find their values there. */
const BATCH = 40;

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
      if (done.length >= BATCH) await record(done.splice(0));
      await workers.onSizeLessThan(AT_ONCE);
    }
  } catch (error) {
    fail(error);
  }
  await workers.onIdle();
  if (done.length > 0) await record(done);
  if (broken !== undefined) throw broken.error;
}

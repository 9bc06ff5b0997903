/** Concurrent calls of `answer`. While they run, the next batch gathers. Most connections stay free for everything else. */
const CONCURRENCY = 2;

type Pending<Key, Answer> = { key: Key; resolve: (answer: Answer) => void; reject: (error: unknown) => void };

/**
 * Turns a query for many keys into one for a single key. Simultaneous calls, and calls during a running query, share the next query.
 * @param size keys per query
 * @param answer returns one answer per key, in their order; an error that it throws rejects all calls of its batch
 * @param gatherMs how long the first call waits for others; for steady, single calls that are not urgent
 */
export function batched<Key, Answer>(
  size: number,
  answer: (keys: readonly Key[]) => Promise<readonly Answer[]>,
  gatherMs = 0,
): (key: Key) => Promise<Answer> {
  const pending: Pending<Key, Answer>[] = [];
  let starting = false;
  let running = 0;
  const drain = async () => {
    starting = false;
    running += 1;
    while (pending.length > 0) await settle(pending.splice(0, size), answer);
    running -= 1;
  };
  return (key) =>
    new Promise((resolve, reject) => {
      pending.push({ key, resolve, reject });
      if (starting || running === CONCURRENCY) return;
      starting = true;
      if (gatherMs > 0) setTimeout(drain, gatherMs);
      else setImmediate(drain);
    });
}

async function settle<Key, Answer>(
  batch: readonly Pending<Key, Answer>[],
  answer: (keys: readonly Key[]) => Promise<readonly Answer[]>,
): Promise<void> {
  try {
    const answers = await answer(batch.map(({ key }) => key));
    for (const [index, { resolve }] of batch.entries()) resolve(answers[index] as Answer);
  } catch (error) {
    for (const { reject } of batch) reject(error);
  }
}

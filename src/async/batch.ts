/** Calls of `answer` at once: while they run, the next batch gathers, and most connections stay free for everything else. */
const CONCURRENCY = 2;

type Pending<Key, Answer> = { key: Key; resolve: (answer: Answer) => void; reject: (error: unknown) => void };

/**
 * Turns a question about many into one about one: calls of the same moment, and those that come while others are answered, share a query.
 * @param size keys per query
 * @param answer gives as many answers as it gets keys, in their order; what it throws is thrown to all of them
 * @param gatherMs how long the first waits for others: where each comes by itself, all the time, and none is in a hurry
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

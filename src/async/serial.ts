/** Runs one piece of work per key at a time, in the order of the calls. A failure rejects its own call only. */
export type Serial = {
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
  /** Number of running and waiting pieces of work of the key. */
  size(key: string): number;
};

type Line = { tail: Promise<unknown>; size: number };

export function createSerial(): Serial {
  const lines = new Map<string, Line>();
  return {
    run: async (key, work) => {
      const line = lines.get(key) ?? { tail: Promise.resolve(), size: 0 };
      lines.set(key, line);
      line.size += 1;
      const mine = line.tail.then(work);
      const done = () => {
        line.size -= 1;
        if (line.size === 0) lines.delete(key);
      };
      line.tail = mine.then(done, done);
      return await mine;
    },
    size: (key) => lines.get(key)?.size ?? 0,
  };
}

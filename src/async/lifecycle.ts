/**
 * Runs or holds a resource until it is closed. `close` refuses new work and waits for work in flight. A second call of `close` returns the outcome
 * of the first.
 */
export type Closable = { close(): Promise<void> };

/** Makes `close` safe to call more than once. */
export function closeOnce(close: () => Promise<void>): () => Promise<void> {
  let closing: Promise<void> | undefined;
  return () => {
    closing ??= close();
    return closing;
  };
}

/** Resources that one opener closes in reverse order, also when a later step of opening fails. */
export type Opened = Closable & {
  /** @returns the same thing, so that the caller opens and adds it in one line */
  add<T extends Closable>(thing: T): T;
  onClose(close: () => unknown): void;
};

/** @param onError receives the error of a resource that failed to close; the others are still closed */
export function createOpened(onError: (error: unknown) => void): Opened {
  const closers: (() => unknown)[] = [];
  return {
    add: (thing) => {
      closers.push(() => thing.close());
      return thing;
    },
    onClose: (close) => void closers.push(close),
    close: closeOnce(async () => {
      for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
        try {
          await close();
        } catch (error) {
          onError(error);
        }
      }
    }),
  };
}

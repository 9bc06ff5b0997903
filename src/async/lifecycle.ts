/**
 * What runs or holds something until it is closed. `close` takes no more work, waits for what is in flight, and may be called again: a second call
 * gets the outcome of the first.
 */
export type Closable = { close(): Promise<void> };

/** Makes `close` safe to call again. */
export function closeOnce(close: () => Promise<void>): () => Promise<void> {
  let closing: Promise<void> | undefined;
  return () => {
    closing ??= close();
    return closing;
  };
}

/** What was opened, to be closed in reverse order by its opener, also when a later step of opening fails. */
export type Opened = Closable & {
  /** @returns the same thing, so that it is opened and added in one line */
  add<T extends Closable>(thing: T): T;
  onClose(close: () => unknown): void;
};

/** @param onError takes the error of a thing that did not close; the others are closed all the same */
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

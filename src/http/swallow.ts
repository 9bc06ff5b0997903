import { within } from '../async/deadline.ts';

/** So much of a refused body is still read, and for so long. */
const SWALLOWED_BYTES = 16 * 1024 * 1024;
const SWALLOW_MS = 1_000;

/**
 * The text as a body that is sent at once and ends when the rest of the request was read away, within bounds. The connection ends with it: a sender
 * that is cut off while it sends often never reads the answer.
 */
export function endingAfterRequest(text: string, request: Request): ReadableStream<Uint8Array> | string {
  if (request.body === null || request.body.locked) return text;
  const reader = request.body.getReader();
  return new ReadableStream({
    start: async (controller) => {
      controller.enqueue(new TextEncoder().encode(text));
      await swallow(reader);
      controller.close();
    },
  });
}

async function swallow(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  let isOver = false;
  const all = async () => {
    for (let swallowed = 0; swallowed < SWALLOWED_BYTES && !isOver; ) {
      const { done, value } = await reader.read();
      if (done) return;
      swallowed += value.byteLength;
    }
  };
  // A sender that breaks off ends its request as well as one that ends it.
  await within(
    SWALLOW_MS,
    all().catch(() => undefined),
  );
  isOver = true;
}

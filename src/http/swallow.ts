import { within } from '../async/deadline.ts';

/** Limits in bytes and time for reading the rest of a refused body. */
const SWALLOWED_BYTES = 16 * 1024 * 1024;
const SWALLOW_MS = 1_000;

/**
 * Makes a body that sends the text at once. It ends after the rest of the request was read and dropped, within the limits. The connection ends with
 * it. A sender that is disconnected while it sends often never reads the answer.
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
  // A sender that disconnects also ends its request.
  await within(
    SWALLOW_MS,
    all().catch(() => undefined),
  );
  isOver = true;
}

/**
 * Streams lines batch by batch. It reads the next batch when the reader has consumed the last one, so that memory does not grow with the number of rows or
 * with a slow reader.
 * @param nextBatch returns the rows after `last`, the last row of the batch before; none at the end
 */
export async function streamLines<Row>(
  head: string,
  nextBatch: (last: Row | undefined) => Promise<readonly Row[]>,
  lineOf: (row: Row) => string,
): Promise<ReadableStream<Uint8Array>> {
  const encoder = new TextEncoder();
  let start = head;
  // The first batch precedes the response, which can then still report a fault of the request or the database.
  let batch = await nextBatch(undefined);
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const text = start + batch.map(lineOf).join('');
        start = '';
        if (text !== '') controller.enqueue(encoder.encode(text));
        const last = batch.at(-1);
        if (last === undefined) return controller.close();
        batch = await nextBatch(last);
      },
    },
    { highWaterMark: 1 },
  );
}

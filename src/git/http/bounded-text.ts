import type { Dispatcher } from 'undici';

/** Reads the text of an answer from outside. @param tooLarge made when the body has, or announces, more than `maxBytes` */
export async function boundedText({ body, headers }: Dispatcher.ResponseData, maxBytes: number, tooLarge: () => Error): Promise<string> {
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size).toString('utf8');
}

import { type Dispatcher, request } from 'undici';
import { startDeadline, within } from '../../async/deadline.ts';
import { messageOf } from '../../errors.ts';
import type { AddressGuard } from '../../git/http/address-guard.ts';
import { closeConnections, dispatcherFor } from '../../git/http/connections.ts';
import { foreignText } from '../../git/problems.ts';
import { withProxy } from '../../wire/proxies.ts';
import type { Attempt } from './deliveries-store.ts';

/** What came of an attempt. `error` is null for a message that was taken: any 2xx. */
export type Sent = Attempt & { retryAfterSeconds: number | null };

export type Posting = { url: string; headers: Record<string, string>; body: string };

/** Posts to URLs that users chose: only to addresses that the guard allows, redirects are not followed, answers are cut. */
export type Sender = {
  readonly guard: AddressGuard;
  /** Faults of the other side are an answer. @throws the signal's reason when it aborts */
  post(posting: Posting, signal?: AbortSignal): Promise<Sent>;
  /** Ends the pooled connections. */
  close(): Promise<void>;
};

const TIMEOUT_MS = 10_000;
/** After the head of the answer, which decides. */
const BODY_TIMEOUT_MS = 1_000;
/** Bytes of the answer's body that are kept. */
const MAX_RESPONSE_BYTES = 1024;
/** A longer pause than a delivery lives is the same as this. */
const MAX_RETRY_AFTER_SECONDS = 86_400;

export function createSender(guard: AddressGuard, timeoutMs: number = TIMEOUT_MS): Sender {
  return {
    guard,
    post: async ({ url, headers, body }, signal) => {
      const at = new Date();
      const started = performance.now();
      const took = () => Math.round(performance.now() - started);
      const deadline = startDeadline(timeoutMs, signal);
      try {
        const response = await request(url, {
          method: 'POST',
          headers: { ...headers, 'user-agent': 'bellwether' },
          body,
          signal: deadline.signal,
          headersTimeout: 0,
          bodyTimeout: 0,
          dispatcher: await dispatcherFor(guard, new URL(url)),
        });
        const text = await beginningOf(response.body);
        signal?.throwIfAborted();
        const { statusCode: status } = response;
        const error =
          status >= 200 && status < 300
            ? null
            : `the answer is ${status}${status >= 300 && status < 400 ? ', redirects are not followed' : ''}`;
        return {
          at,
          durationMs: took(),
          status,
          error,
          response: text,
          retryAfterSeconds: retryAfter(response.headers['retry-after'], at),
        };
      } catch (error) {
        signal?.throwIfAborted();
        const why = deadline.isOver()
          ? `no answer within ${timeoutMs} ms`
          : withProxy(foreignText(messageOf(error)), guard.proxies, new URL(url));
        return { at, durationMs: took(), status: null, error: why, response: '', retryAfterSeconds: null };
      } finally {
        deadline.clear();
      }
    },
    close: () => closeConnections(guard),
  };
}

/** Whatever came of it in time: a body that stalls, breaks or does not end says nothing about the message. */
async function beginningOf(body: Dispatcher.ResponseData['body']): Promise<string> {
  const pieces: AsyncIterable<Buffer> = body;
  const chunks: Buffer[] = [];
  const read = async () => {
    let size = 0;
    for await (const chunk of pieces) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= MAX_RESPONSE_BYTES) return;
    }
  };
  // The head of the answer decides: a body that breaks off is kept as far as it came.
  await within(
    BODY_TIMEOUT_MS,
    read().catch(() => undefined),
  );
  body.on('error', () => {}).destroy();
  return Buffer.concat(chunks).subarray(0, MAX_RESPONSE_BYTES).toString('utf8');
}

/** Seconds or a date (RFC 9110); null when it is neither. */
function retryAfter(header: string | string[] | undefined, now: Date): number | null {
  if (typeof header !== 'string') return null;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - now.getTime()) / 1000;
  return Number.isNaN(seconds) ? null : Math.min(Math.max(0, Math.ceil(seconds)), MAX_RETRY_AFTER_SECONDS);
}

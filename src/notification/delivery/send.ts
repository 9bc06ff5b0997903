import { type Dispatcher, request } from 'undici';
import { startDeadline, within } from '../../async/deadline.ts';
import { retryAfter } from '../../async/retry-after.ts';
import { messageOf } from '../../errors.ts';
import type { AddressGuard } from '../../git/http/address-guard.ts';
import { closeConnections, dispatcherFor } from '../../git/http/connections.ts';
import { foreignText } from '../../git/problems.ts';
import { withProxy } from '../../wire/proxies.ts';
import type { Attempt } from './deliveries-store.ts';

/** The result of an attempt. `error` is null for any 2xx status. */
export type Sent = Attempt & { retryAfterSeconds: number | null };

export type Posting = { url: string; headers: Record<string, string>; body: string };

/** Posts to URLs that users chose. It connects only to addresses that the guard allows, follows no redirects and truncates responses. */
export type Sender = {
  readonly guard: AddressGuard;
  /** Returns faults of the receiver as a result. @throws the signal's reason when it aborts */
  post(posting: Posting, signal?: AbortSignal): Promise<Sent>;
  /** Ends the pooled connections. */
  close(): Promise<void>;
};

const TIMEOUT_MS = 10_000;
/** Time limit for the body, after the response's head, which decides about success. */
const BODY_TIMEOUT_MS = 1_000;
/** Bytes of the response's body that are kept. */
const MAX_RESPONSE_BYTES = 1024;
/** Cap of the receiver's pause: a longer one would outlast the delivery. */
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
          retryAfterSeconds: retryAfter(response.headers['retry-after'], at.getTime(), MAX_RETRY_AFTER_SECONDS) ?? null,
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

/** Returns the part of the body that arrived in time. A stalled, broken or endless body does not change the result. */
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
  // The head of the response decides, so that a truncated body is kept as received.
  await within(
    BODY_TIMEOUT_MS,
    read().catch(() => undefined),
  );
  body.on('error', () => {}).destroy();
  return Buffer.concat(chunks).subarray(0, MAX_RESPONSE_BYTES).toString('utf8');
}

import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { Dispatcher } from 'undici';
import { retryAfter, untilReset } from '../../async/retry-after.ts';
import { messageOf, type Problem } from '../../errors.ts';
import { foreignText, gitProblem, signInProblem } from '../problems.ts';
import { redirectProblem, repositoryPath } from './redirect.ts';

type Response = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>;
type Asked = { method: 'GET' | 'POST'; maxBytes: number; pushes?: true };

/** Bytes of a refusal's body that are searched for its reason. */
const REASON_BYTES = 2_048;
const MAX_REASON_BYTES = 1024 * 1024;
/** GitHub documents this pause for answers that name no time. */
const DEFAULT_WAIT_SECONDS = 60;
/** Request Timeout and Too Early: gateways send them when the same request may succeed later. */
const TRANSIENT = new Set([408, 425]);
const RATE_LIMIT = /rate[ -]?limit|too many requests|abuse detection|throttl/i;

/**
 * Checks the status and the headers of a host's answer.
 * @throws Problem `git_auth`, `git_push_denied`, `git_rate_limited`, `git_not_found`, `git_redirect`, `git_server_error`, `git_protocol`,
 * `git_too_large`, unless the answer is a 200 that may be Git's
 */
export async function checkAnswer(url: URL, response: Response, asked: Asked): Promise<void> {
  const { statusCode: status, headers } = response;
  const where = shownUrl(url);
  // Azure DevOps sends its sign-in page as 203.
  if ((status === 200 || status === 203) && isWebPage(headers)) throw signInProblem(where, `the host answered ${status} with a web page`);
  if (status !== 200) throw await refusal(url, where, response, asked);
  const declared = Number(headers['content-length'] ?? 0);
  if (declared > asked.maxBytes) throw tooLarge(url, declared, asked.maxBytes);
}

/** Yields the answer's bytes, decompressed if necessary. @throws Problem `git_too_large`, `git_protocol` */
export async function* bodyOf(url: URL, { headers, body }: Response, maxBytes: number): AsyncGenerator<Buffer> {
  const encoding = String(headers['content-encoding'] ?? 'identity')
    .trim()
    .toLowerCase();
  if (encoding === 'identity' || encoding === '') return yield* bounded(url, body, maxBytes);
  const decoder = DECODERS[encoding]?.();
  if (decoder === undefined)
    throw gitProblem('git_protocol', `Cannot read ${shownUrl(url)}: the answer has the unknown encoding "${foreignText(encoding)}"`);
  yield* bounded(url, inflated(url, body, decoder, encoding, maxBytes), maxBytes);
}

const DECODERS: Record<string, () => Transform> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

async function* inflated(
  url: URL,
  body: AsyncIterable<Buffer>,
  decoder: Transform,
  encoding: string,
  maxBytes: number,
): AsyncGenerator<Buffer> {
  let failure: unknown;
  // The compressed bytes count as well, since endless input can inflate to nothing.
  const fed = feed(bounded(url, body, maxBytes), decoder).catch((error: unknown) => {
    failure = error;
    decoder.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    yield* decoder;
    await fed;
  } catch (error) {
    if (failure !== undefined) throw failure;
    throw gitProblem('git_protocol', `Cannot read ${shownUrl(url)}: the answer is no valid ${encoding}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    decoder.destroy();
  }
}

async function feed(body: AsyncIterable<Buffer>, decoder: Transform): Promise<void> {
  for await (const chunk of body) {
    if (decoder.destroyed) return;
    if (!decoder.write(chunk)) await drained(decoder);
  }
  decoder.end();
}

function drained(decoder: Transform): Promise<void> {
  return new Promise((resolve) => {
    decoder.once('drain', resolve).once('close', resolve);
  });
}

async function* bounded(url: URL, body: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(url, size, maxBytes);
    yield chunk;
  }
}

async function refusal(url: URL, where: string, response: Response, { method, pushes }: Asked): Promise<Problem> {
  const { statusCode: status, headers } = response;
  if (status >= 300 && status < 400) return redirectProblem(url, headers.location, method);
  if (status === 407)
    return gitProblem('git_unreachable', `Cannot reach ${where}: the proxy answered 407; put its user and password into HTTP_PROXY`);
  const wait = await rateLimitSeconds(url, response);
  if (wait !== undefined) {
    const why = `the host answered ${status}, it limits how often it may be asked`;
    return gitProblem('git_rate_limited', `Cannot read ${where} now: ${why}; the next request waits ${wait} s`, {
      retryAfterSeconds: wait,
    });
  }
  if (status === 401 || status === 403) {
    if (!pushes) return gitProblem('git_auth', `Cannot read ${where}: the host answered ${status}; check the source's credentials`);
    const why = 'the credentials may not push, or it takes no pushes over HTTP';
    return gitProblem('git_push_denied', `Cannot push to ${where}: the host answered ${status}; ${why}`);
  }
  if (status === 402) return gitProblem('git_auth', `Cannot read ${where}: the host answered 402; check that its account there is paid`);
  if (status === 404 || status === 410 || status === 451) {
    const hint = status === 451 ? 'withheld for legal reasons' : 'hosts report private repositories as missing without credentials';
    return gitProblem('git_not_found', `Cannot find the repository ${where}: the host answered ${status} (${hint})`);
  }
  if (status < 500 && !TRANSIENT.has(status))
    return gitProblem('git_protocol', `Cannot read ${where}: the host answered ${status}, must be 200`);
  return gitProblem('git_server_error', `Cannot read ${where}: the host answered ${status}; its log has the reason; Bellwether retries`, {
    retryAfterSeconds: retryAfter(headers['retry-after']),
  });
}

/** Seconds until the host accepts requests again; undefined for a refusal with another reason. GitHub also limits with 403. */
async function rateLimitSeconds(url: URL, response: Response): Promise<number | undefined> {
  const { statusCode: status, headers } = response;
  if (status !== 429 && status !== 403) return undefined;
  const asked = retryAfter(headers['retry-after']);
  if (asked !== undefined) return asked;
  const isSpent = [headers['x-ratelimit-remaining'], headers['ratelimit-remaining']].some((left) => left === '0');
  if (isSpent) return untilReset(headers['x-ratelimit-reset'] ?? headers['ratelimit-reset']) ?? DEFAULT_WAIT_SECONDS;
  return status === 429 || RATE_LIMIT.test(await reasonOf(url, response)) ? DEFAULT_WAIT_SECONDS : undefined;
}

/** Reads the beginning of a refusal's body; empty when it is unreadable. */
async function reasonOf(url: URL, response: Response): Promise<string> {
  let text = '';
  try {
    for await (const chunk of bodyOf(url, response, MAX_REASON_BYTES)) {
      text += chunk.toString('latin1');
      if (text.length >= REASON_BYTES) break;
    }
  } catch {
    // The part read so far is enough to search for the reason.
  }
  return text.slice(0, REASON_BYTES);
}

function isWebPage(headers: Response['headers']): boolean {
  return /^(?:text\/html|application\/xhtml)/i.test(String(headers['content-type'] ?? ''));
}

function tooLarge(url: URL, actual: number, maxBytes: number): Problem {
  return gitProblem('git_too_large', `Cannot read ${shownUrl(url)}: the answer has at least ${actual} bytes, must be at most ${maxBytes}`);
}

/** The repository's address in quotes. */
function shownUrl(url: URL): string {
  return `"${url.origin}${repositoryPath(url)}"`;
}

import { pause } from '../async/pause.ts';
import type { Db } from '../db/connect.ts';
import { Problem } from '../errors.ts';
import type { Forge } from '../forge/forge.ts';
import { type Delivery, deliveriesAfter, isVerified, NOTED_AGAIN_SECONDS } from '../source/deliveries-store.ts';
import type { Source } from '../source/source.ts';

/** The result of a test delivery. `reason`: why the webhook is not verified. */
export type HookProof =
  | { verified: true }
  | { verified: false; reason: 'unauthorized' | 'other_repository' | 'not_sent' | 'not_received'; detail: string };

/** Hosts queue deliveries; most arrive within a second. */
const WAIT_MS = 8_000;
/** Wait after a refused delivery: anybody can send one, so that the genuine one may follow. */
const WAIT_MORE_MS = 1_500;
const ASK_EVERY_MS = 150;

/**
 * Requests a test delivery from the host and waits until this process or another one has received and verified it.
 * @param since position of the last delivery before the test
 */
export async function proveWebhook(
  sql: Db,
  source: Source,
  forge: Forge,
  hookId: string,
  since: number,
  signal: AbortSignal,
): Promise<HookProof> {
  // A refusal within this time after another one is not recorded, and the test would count as not received.
  await pause(2_000 * NOTED_AGAIN_SECONDS, signal);
  const failed = await forge.testWebhook(hookId, signal).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof Problem) return error;
      throw error;
    },
  );
  const startedAt = performance.now();
  // If a host responds with an error, it has sent the delivery before that or never does.
  let endsAt = startedAt + (failed === undefined ? WAIT_MS : WAIT_MORE_MS);
  for (;;) {
    const received = await deliveriesAfter(sql, source, since);
    const proof = proofOf(received);
    if (proof?.verified === true) return proof;
    if (proof !== undefined) endsAt = Math.min(endsAt, performance.now() + WAIT_MORE_MS);
    if (performance.now() >= endsAt || signal.aborted) return proof ?? missing(failed);
    await pause(ASK_EVERY_MS, signal);
  }
}

type Received = Pick<Delivery, 'verdict' | 'detail'>;

/** Returns undefined if no delivery arrived. A verified delivery outweighs all others. */
function proofOf(received: readonly Received[]): HookProof | undefined {
  const other = received.find(({ verdict }) => verdict === 'other_repository');
  if (received.some(({ verdict }) => isVerified(verdict) && verdict !== 'other_repository')) return { verified: true };
  if (other !== undefined) return { verified: false, reason: 'other_repository', detail: other.detail ?? '' };
  const refused = received.find(({ verdict }) => !isVerified(verdict));
  return (
    refused && { verified: false, reason: 'unauthorized', detail: `The test delivery was refused: ${refused.detail ?? refused.verdict}` }
  );
}

function missing(failed: Problem | undefined): HookProof {
  if (failed !== undefined) return { verified: false, reason: 'not_sent', detail: failed.message };
  const detail = `No test delivery was received within ${WAIT_MS / 1000} s: check that the git host can reach the hookUrl, that it may send hooks to such addresses, and that the repository has a commit`;
  return { verified: false, reason: 'not_received', detail };
}

import { pause } from '../async/pause.ts';
import type { Db } from '../db/connect.ts';
import { Problem } from '../errors.ts';
import type { Forge } from '../forge/forge.ts';
import { type Delivery, deliveriesAfter, isVerified, NOTED_AGAIN_SECONDS } from '../source/deliveries-store.ts';
import type { Source } from '../source/source.ts';

/** What a test delivery showed. `reason`: why it proves nothing. */
export type HookProof =
  | { verified: true }
  | { verified: false; reason: 'unauthorized' | 'other_repository' | 'not_sent' | 'not_received'; detail: string };

/** Hosts queue deliveries: most come within a second. */
const WAIT_MS = 8_000;
/** After one that failed: the right one may follow, as anybody can send a wrong one. */
const WAIT_MORE_MS = 1_500;
const ASK_EVERY_MS = 150;

/**
 * Lets the host send a delivery and waits until it was received and verified, here or in another process.
 * @param since position of the last delivery before
 */
export async function proveWebhook(
  sql: Db,
  source: Source,
  forge: Forge,
  hookId: string,
  since: number,
  signal: AbortSignal,
): Promise<HookProof> {
  // A refusal that comes sooner after another one is not noted, and the test would seem not to have been received.
  await pause(2_000 * NOTED_AGAIN_SECONDS, signal);
  const failed = await forge.testWebhook(hookId, signal).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof Problem) return error;
      throw error;
    },
  );
  const startedAt = performance.now();
  // A host that answers with an error has sent the delivery before, if it sent one.
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

/** undefined: nothing came. One that is verified outweighs all others. */
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

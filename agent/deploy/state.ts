import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { DriftPolicy, Report } from '../../src/wire/agent.ts';
import { ApplySpec, Digest } from '../../src/wire/bundle.ts';
import { isCode, writeDurably } from '../disk/files.ts';
import type { Root } from '../disk/root.ts';
import type { Fault } from '../faults.ts';
import type { Outbox } from '../server/outbox.ts';
import { createTurn } from '../time/signals.ts';

/**
 * Where one attempt to apply a bundle stands. Everything up to `prepared` leaves `current` alone.
 *
 *     delivering → prepared → swapping → confirming → (committed)
 *          └───────────┴──────────┴───────────┴─────→ going_back → (rolled back)
 */
export const Phase = z.enum(['delivering', 'prepared', 'swapping', 'confirming', 'going_back']);
export type Phase = z.infer<typeof Phase>;

export const Failure = z.object({
  code: z.string(),
  detail: z.string(),
  /** The bundle itself is to blame: do not try it again unasked. */
  quarantine: z.boolean(),
  /** The same deployment may be tried again later, for example when there is space. */
  retryable: z.boolean(),
});
export type Failure = z.infer<typeof Failure>;

export const Attempt = z.object({
  deploymentId: z.string(),
  digest: Digest,
  size: z.number().int(),
  url: z.string(),
  /** What ran before and what a failure goes back to. */
  previous: Digest.nullable(),
  /** Counts the tries of one deployment, from 1. */
  number: z.number().int(),
  phase: Phase,
  /** How often the process died since the device began to be changed. */
  interruptions: z.number().int(),
  /** Set before the swap, RFC 3339: the confirm timeout counts from here. */
  swappedAt: z.string().nullable(),
  /** Set when `before` may have run: then a way back runs `after`. */
  touched: z.boolean(),
  apply: ApplySpec.nullable(),
  failure: Failure.nullable(),
});
export type Attempt = z.infer<typeof Attempt>;

export const AgentState = z.object({
  /** Highest sequence ever accepted, and its bundle. */
  sequence: z.number().int().default(-1),
  sequenceDigest: Digest.nullable().default(null),
  /** Which key the agent had then: a device that is registered anew has a new key and counts from the beginning. */
  acceptedUnder: z.string().nullable().default(null),
  issuedAt: z.string().nullable().default(null),
  driftPolicy: DriftPolicy.default('report'),
  /** The last good bundle; null: nothing was ever applied. */
  running: Digest.nullable().default(null),
  /** The good one before it, whose files are kept. */
  previous: Digest.nullable().default(null),
  quarantined: z.array(Digest).default([]),
  attempt: Attempt.nullable().default(null),
  /** The last attempt that came to an end. */
  finished: z.object({ deploymentId: z.string(), number: z.number().int(), retryable: z.boolean() }).nullable().default(null),
  /** Commands that were taken up, oldest first, so that none runs twice. */
  commands: z.array(z.object({ id: z.string(), type: z.string(), done: z.boolean() })).default([]),
  stoppedCleanly: z.boolean().default(true),
  /** Reports that belong to this very state: they enter the outbox after it is written, and again at a start, with the same ids. */
  unsaid: z.array(Report).default([]),
});
export type AgentState = z.infer<typeof AgentState>;

/**
 * The agent's durable memory. A change and the reports that tell of it are one write, so that a power cut leaves both or neither.
 */
export type Journal = {
  readonly state: Readonly<AgentState>;
  write(change: (state: Readonly<AgentState>) => Partial<AgentState>, reports?: Report[]): Promise<void>;
};

export async function openJournal(root: Pick<Root, 'state' | 'setAside'>, outbox: Outbox, fault: Fault): Promise<Journal> {
  const path = root.state;
  let state = await readState(root);
  const inTurn = createTurn();
  await outbox.add(state.unsaid);
  return {
    get state() {
      return state;
    },
    write: (change, reports = []) =>
      inTurn(async () => {
        const next = { ...state, ...change(state), unsaid: reports };
        fault('before_state_write');
        await writeDurably(path, JSON.stringify(next));
        state = next;
        fault('after_state_write');
        await outbox.add(reports);
      }),
  };
}

/** A state that cannot be read (a worn-out flash cell, say) is set aside: a device that never starts again could not be repaired from afar. */
async function readState(root: Pick<Root, 'state' | 'setAside'>): Promise<AgentState> {
  try {
    return AgentState.parse(JSON.parse(await readFile(root.state, 'utf8')));
  } catch (error) {
    if (isCode(error, 'EACCES', 'EPERM')) throw error;
    if (!isCode(error, 'ENOENT')) await root.setAside(root.state, 'the state file could not be read');
    return AgentState.parse({});
  }
}

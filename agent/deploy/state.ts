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
 * Phase of one attempt to apply a bundle. No phase up to `prepared` changes `current`.
 *
 *     delivering → prepared → swapping → confirming → (committed)
 *          └───────────┴──────────┴───────────┴─────→ going_back → (rolled back)
 */
export const Phase = z.enum(['delivering', 'prepared', 'swapping', 'confirming', 'going_back']);
export type Phase = z.infer<typeof Phase>;

export const Failure = z.object({
  code: z.string(),
  detail: z.string(),
  /** The bundle itself caused the failure: the agent tries it again only on an operator's request. */
  quarantine: z.boolean(),
  /** The agent retries the same deployment later, for example when there is space again. */
  retryable: z.boolean(),
});
export type Failure = z.infer<typeof Failure>;

export const Attempt = z.object({
  deploymentId: z.string(),
  digest: Digest,
  size: z.number().int(),
  url: z.string(),
  /** The release before the attempt, to which a failure rolls back. */
  previous: Digest.nullable(),
  /** Counts the tries of one deployment, from 1. */
  number: z.number().int(),
  phase: Phase,
  /** Deaths of the process since the attempt first changed the device. */
  interruptions: z.number().int(),
  /** Set before the swap, RFC 3339. The confirm timeout counts from here. */
  swappedAt: z.string().nullable(),
  /** Set when `before` may have run. A rollback then runs `after`. */
  touched: z.boolean(),
  apply: ApplySpec.nullable(),
  failure: Failure.nullable(),
});
export type Attempt = z.infer<typeof Attempt>;

export const AgentState = z.object({
  /** Highest sequence ever accepted, and its bundle. */
  sequence: z.number().int().default(-1),
  sequenceDigest: Digest.nullable().default(null),
  /** Mark of the agent's key at that time. A device that is registered again has a new key, and its sequence starts again. */
  acceptedUnder: z.string().nullable().default(null),
  issuedAt: z.string().nullable().default(null),
  driftPolicy: DriftPolicy.default('report'),
  /** The last confirmed bundle; null: the agent never applied one. */
  running: Digest.nullable().default(null),
  /** The confirmed bundle before it, whose files are kept. */
  previous: Digest.nullable().default(null),
  quarantined: z.array(Digest).default([]),
  attempt: Attempt.nullable().default(null),
  /** The last attempt that came to an end. */
  finished: z.object({ deploymentId: z.string(), number: z.number().int(), retryable: z.boolean() }).nullable().default(null),
  /** Commands that the agent began, oldest first, so that none runs twice. */
  commands: z.array(z.object({ id: z.string(), type: z.string(), done: z.boolean() })).default([]),
  stoppedCleanly: z.boolean().default(true),
  /** Reports that belong to this state. They enter the outbox after the state is written, and again at a start, with the same ids. */
  unsaid: z.array(Report).default([]),
});
export type AgentState = z.infer<typeof AgentState>;

/** The agent's durable state. One write holds a change and its reports, so that a power cut leaves both or neither. */
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

/** Sets a damaged state aside (a worn-out flash cell, for example): nobody could repair a device remotely if its agent did not start. */
async function readState(root: Pick<Root, 'state' | 'setAside'>): Promise<AgentState> {
  try {
    return AgentState.parse(JSON.parse(await readFile(root.state, 'utf8')));
  } catch (error) {
    if (isCode(error, 'EACCES', 'EPERM')) throw error;
    if (!isCode(error, 'ENOENT')) await root.setAside(root.state, 'the state file could not be read');
    return AgentState.parse({});
  }
}

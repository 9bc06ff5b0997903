import fc from 'fast-check';
import type { Operation } from './description.ts';
import { type Breach, breaches } from './laws.ts';
import { anyRequest, type Request, validRequest } from './requests.ts';
import { type Answer, curlOf, prepare, type Sent, send } from './send.ts';
import type { World } from './world.ts';

export type Finding = Breach & { operation: string; seed: number; curl: string };

export type Outcome = {
  requests: number;
  /** Number of answers by operation and first digit of the status. */
  answers: ReadonlyMap<string, Record<string, number>>;
  /** Longest time of an answer by operation, ms. */
  slowest: ReadonlyMap<string, number>;
  findings: Finding[];
  /** Operations that never took effect, with the answer to the last request. */
  uncovered: string[];
};

export type Plan = {
  url: string;
  operations: readonly Operation[];
  world: World;
  seed: number;
  /** Requests to each operation in a round. */
  requestsPerRound: number;
  /** Concurrent operations. */
  lanes: number;
  /** Whether to begin another round. */
  goOn(roundsDone: number): boolean;
  onRound?(requests: number): Promise<void>;
  /** Receives each finding at once. */
  onFinding?(finding: Finding): void;
};

/** Limit of valid requests to an operation until one takes effect. */
const MAX_VALID = 60;
const MAX_SHRINK_MS = 20_000;

/** Sends requests to every operation: first valid ones until each succeeded, then any. */
export async function fuzz(plan: Plan): Promise<Outcome> {
  const { url, operations, world, seed } = plan;
  const answers = new Map<string, Record<string, number>>(operations.map(({ name }) => [name, {}]));
  const slowest = new Map<string, number>();
  const findings = new Map<string, Finding>();
  let requests = 0;

  const attempt = async (request: Request, runSeed: number): Promise<{ answer: Answer | undefined; found: Finding[] }> => {
    const sent = await prepare(world, request);
    requests += 1;
    const { name } = request.operation;
    const toFinding = (breach: Breach): Finding => ({ ...breach, operation: name, seed: runSeed, curl: curlOf(url, sent) });
    try {
      const startedAt = performance.now();
      const answer = await answerTo(url, sent);
      slowest.set(name, Math.max(slowest.get(name) ?? 0, Math.round(performance.now() - startedAt)));
      const counts = answers.get(name) ?? {};
      const kind = `${String(answer.status)[0]}xx`;
      counts[kind] = (counts[kind] ?? 0) + 1;
      return { answer, found: breaches(request, answer).map(toFinding) };
    } catch (error) {
      return { answer: undefined, found: [toFinding({ law: 'does not answer', detail: String(error) })] };
    }
  };
  const isNew = ({ operation, law }: Finding) => !findings.has(`${operation} ${law}`);
  const keep = (finding: Finding): void => {
    if (!isNew(finding)) return;
    findings.set(`${finding.operation} ${finding.law}`, finding);
    plan.onFinding?.(finding);
  };

  const refusals = new Map<string, string>();
  const cover = async (operation: Operation): Promise<void> => {
    const runSeed = mix(seed, 0, operation.name);
    for (const request of fc.sample(validRequest(operation), { seed: runSeed, numRuns: MAX_VALID })) {
      const { answer, found } = await attempt(request, runSeed);
      found.forEach(keep);
      if (answer !== undefined && answer.status < 300) return;
      refusals.set(operation.name, `${answer?.status} ${answer?.body.subarray(0, 400)}`);
    }
  };
  // No caller of the test has the root token.
  const isUncovered = ({ name, credentials }: Operation) => credentials !== 'root' && answers.get(name)?.['2xx'] === undefined;
  /** Two passes, because an earlier request may have changed an object that a later one needed. */
  const coverAll = async (): Promise<void> => {
    await inLanes(operations, 1, cover);
    const rest = operations.filter(isUncovered);
    if (rest.length === 0) return;
    await world.restore();
    await inLanes(rest, 1, cover);
  };
  const probe = async (operation: Operation, round: number): Promise<void> => {
    const runSeed = mix(seed, round, operation.name);
    let last: Finding[] = [];
    const property = fc.asyncProperty(anyRequest(operation), async (request) => {
      const { found } = await attempt(request, runSeed);
      const fresh = found.filter(isNew);
      if (fresh.length === 0) return;
      last = fresh;
      throw new Error(fresh[0]?.law);
    });
    const limits = { interruptAfterTimeLimit: MAX_SHRINK_MS, markInterruptAsFailure: false };
    await fc.check(property, { seed: runSeed, numRuns: plan.requestsPerRound, ...limits });
    last.forEach(keep);
  };

  for (let round = 0; round === 0 || plan.goOn(round); round += 1) {
    if (round === 0) await coverAll();
    else await world.restore();
    await inLanes(operations, plan.lanes, (operation) => probe(operation, round + 1));
    await plan.onRound?.(requests);
  }
  const uncovered = operations.filter(isUncovered).map(({ name }) => `${name}: ${refusals.get(name)}`);
  return { requests, answers, slowest, findings: [...findings.values()], uncovered };
}

/** The server may close an idle connection at the instant of its next use. It then did not receive the request, which is sent once more. */
async function answerTo(url: string, sent: Sent): Promise<Answer> {
  try {
    return await send(url, sent);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ECONNRESET')) throw error;
    return send(url, sent, true);
  }
}

async function inLanes<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const lane = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** FNV-1a: the same value for an operation, independent of the other operations. */
function mix(seed: number, round: number, name: string): number {
  let hash = 0x811c9dc5;
  for (const char of `${seed} ${round} ${name}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return hash | 0;
}

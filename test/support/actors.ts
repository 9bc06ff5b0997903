import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { SIGNING_TOKEN } from './hooks.ts';

/** A program that sends permitted requests. @throws with the answer when the service refuses one */
export type Client = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Record<string, unknown>>;

const TIMEOUT_MS = 120_000;

export function clientOf(url: string, token: string): Client {
  return (method, path, body, headers) => call(method, url + path, { authorization: `Bearer ${token}`, ...headers }, body);
}

/**
 * A device that accepts its desired bundle, like the agent, and reports a success or a failure.
 * @returns whether a bundle was desired @throws with the answer when the service names no desired state
 */
export async function converge(url: string, key: Record<string, string>, outcome: 'succeeded' | 'failed' = 'succeeded'): Promise<boolean> {
  const answer = await fetch(`${url}/agent/v1/desired?wait=0`, { headers: key, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`GET /agent/v1/desired: ${answer.status} ${text}`);
  const [, payload = ''] = text.split('.');
  const { deploymentId, bundle, sequence } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  const report = (kind: string, rest: object) => ({ kind, id: randomUUID(), at: new Date().toISOString(), ...rest });
  const send = (reports: object[]) => call('POST', `${url}/agent/v1/reports`, key, { reports });
  const step = (state: string) => report('deployment', { deploymentId, state, runningDigest: outcome === 'failed' ? null : bundle.digest });
  if (deploymentId !== null)
    await send([step('delivering'), step('applying'), ...(outcome === 'failed' ? [step('failed')] : [step('confirming')])]);
  if (deploymentId !== null && outcome === 'succeeded') await send([step('succeeded')]);
  await send([
    report('heartbeat', { runningDigest: outcome === 'failed' ? null : (bundle?.digest ?? null), sequence, agentVersion: 'test' }),
    report('log', { level: 'info', message: outcome }),
    report('telemetry', { metrics: { cpu: 1 } }),
  ]);
  return deploymentId !== null;
}

/** A genuine push. */
export async function postHook(hookUrl: string, push: { ref: string; after: string }): Promise<void> {
  const body = Buffer.from(JSON.stringify(push));
  await call('POST', hookUrl, signatureOf(body), body);
}

/** Headers of Standard Webhooks, signed with `SIGNING_TOKEN`. */
export function signatureOf(body: Buffer): Record<string, string> {
  const [id, timestamp] = [randomUUID(), String(Math.floor(Date.now() / 1000))];
  const key = Buffer.from(SIGNING_TOKEN.slice('whsec_'.length), 'base64');
  const signed = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signed}` };
}

/** Polls for a state that no event announces. @throws when it takes too long */
export async function until(what: string, ask: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${TIMEOUT_MS} ms`);
    await pause(30);
  }
}

/** The items of a list's answer. */
export function rowsOf(items: unknown): Record<string, unknown>[] {
  return Array.isArray(items) ? items : [];
}

async function call(method: string, url: string, headers: Record<string, string>, body?: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url} answers ${response.status}: ${text}`);
  return text === '' ? {} : JSON.parse(text);
}

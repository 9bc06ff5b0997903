import { createHmac, randomUUID } from 'node:crypto';
import { fixture } from '../source/webhook/fixtures.ts';

export const ZEROS = '0'.repeat(40);
export const OTHER = 'eef717f69257a6333f221566c1c987dc94cc0d72';
export const SECRET = 'bellwether:the secret of the hook';

/** A request of a host for an event, and the expected response. The source follows `main` of fleet/terminals. */
export type Row = {
  what: string;
  /** The event's name in the host's header. */
  event: string;
  body: unknown;
  outcome: 'accepted' | 'other_ref' | 'other_repository' | 'ignored' | 'ping';
  /** State of merge request 7 afterwards. */
  request?: 'open' | 'closed';
};

export type HostCase = {
  provider: string;
  /** Options of the source. */
  url: string;
  options?: Record<string, unknown>;
  headers(event: string, body: string): Record<string, string>;
  rows: Row[];
};

export const hmac = (body: string) => createHmac('sha256', SECRET).update(body).digest('hex');
export const newId = () => randomUUID();

/** A fixture with other values at paths. An undefined value removes the field. */
export function sample(name: string, edits: Record<string, unknown> = {}): unknown {
  const whole: unknown = JSON.parse(fixture(name).toString());
  for (const [path, value] of Object.entries(edits)) set(whole, path.split('/'), value);
  return whole;
}

function set(whole: unknown, [key = '', ...rest]: readonly string[], value: unknown): void {
  if (typeof whole !== 'object' || whole === null) throw new Error(`the fixture has nothing to put "${key}" into`);
  if (rest.length === 0) return void Object.assign(whole, { [key]: value });
  if (!(key in whole)) Object.assign(whole, { [key]: {} });
  set(Reflect.get(whole, key), rest, value);
}

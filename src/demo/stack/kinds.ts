import { Problem } from '../../errors.ts';

/** A change of one file: `from` stands in it exactly once. */
export type Edit = { file: string; from: string; to: string };

/** A kind of device of the sample repositories. */
export type Kind = {
  /** Folder below `fixtures/`, and the device's type. */
  name: string;
  /** How its devices are called: `till-1`. */
  short: string;
  /** A change that satisfies the schema and leaves the device healthy. */
  good: Edit;
};

const TILL_FILE = 'config/terminal.json';
const ROUTER_FILE = 'config/router.yaml';
const GATEWAY_FILE = 'config/gateway.yaml';

const TILL: Kind = {
  name: 'pos-terminal',
  short: 'till',
  good: { file: TILL_FILE, from: '"offlineLimitCents": 5000', to: '"offlineLimitCents": 7500' },
};

const ROUTER: Kind = {
  name: 'edge-router',
  short: 'router',
  good: { file: ROUTER_FILE, from: 'leaseMinutes: 720', to: 'leaseMinutes: 360' },
};

const GATEWAY: Kind = {
  name: 'sensor-gateway',
  short: 'gateway',
  good: { file: GATEWAY_FILE, from: 'keepAliveSeconds: 60', to: 'keepAliveSeconds: 30' },
};

/** The first repository is a till's and the second a router's: the acts that go wrong are theirs. */
export const KINDS: readonly [Kind, ...Kind[]] = [TILL, ROUTER, GATEWAY];

/** Breaks a rule of the till's schema. */
export const INVALID_ON_TILL: Edit = { file: TILL_FILE, from: '"id": 120', to: '"id": 5000' };

/** Fixes it with a new value. The earlier value still runs on the till, so that it would change nothing. */
export const FIXED_ON_TILL: Edit = { file: TILL_FILE, from: INVALID_ON_TILL.to, to: '"id": 121' };

/** Satisfies the router's schema, but only the device can find out that it does not work. */
export const UNHEALTHY_ON_ROUTER: Edit = { file: ROUTER_FILE, from: 'upstream: [9.9.9.9, dns.example.com]', to: 'upstream: [dns.invalid]' };

/** The kind of a device of the sample fleet, by its folder's name: `router-lyon`. @throws Problem `demo_fixtures` */
export function kindOf(id: string): Kind {
  const kind = KINDS.find(({ short }) => id.startsWith(`${short}-`));
  if (kind === undefined)
    throw new Problem('demo_fixtures', `Cannot tell the kind of "${id}": must begin with ${KINDS.map(({ short }) => short).join(', ')}`);
  return kind;
}

/** The edit in a folder of a fleet. */
export function editIn(folder: string, edit: Edit): Edit {
  return { ...edit, file: `${folder}/${edit.file}` };
}

/** @throws Problem `demo_fixtures` when the sample file is not what the edit expects */
export function applyEdit(text: string, { file, from, to }: Edit): string {
  const parts = text.split(from);
  if (parts.length !== 2)
    throw new Problem('demo_fixtures', `Cannot edit "${file}": "${from}" stands there ${parts.length - 1} times, must be once`);
  return parts.join(to);
}

/** Line on which `needle` stands, from 1; 0 when it does not. */
export function lineOf(text: string, needle: string): number {
  return text.split('\n').findIndex((line) => line.includes(needle)) + 1;
}

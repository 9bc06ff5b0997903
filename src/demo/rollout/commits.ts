import type { Edit } from '../stack/kinds.ts';

/** The commits that an engineer pushes, one after the other, into the repository of all tills. */
export type DemoCommit = { message: string; edits: readonly Edit[] };

export const FIXTURE = 'tills';
const FILE = 'config/till.json';

const LOST_HOST = 'payments.invalid';
const HASTY = '"paymentTimeoutMs": 50';

export const GOOD: DemoCommit = {
  message: 'Sell more without a connection',
  edits: [{ file: FILE, from: '"offlineLimitCents": 5000', to: '"offlineLimitCents": 7500' }],
};

/** Satisfies the schema, but only the till can find out that it does not work. */
export const UNHEALTHY: DemoCommit = {
  message: 'Move to another payment host',
  edits: [{ file: FILE, from: 'payments.example.com', to: LOST_HOST }],
};

/** Every health check passes, and then payments fail that take their time. */
export const HASTY_PAYMENTS: DemoCommit = {
  message: 'Fix the payment host, and do not wait for slow payments',
  edits: [
    { file: FILE, from: LOST_HOST, to: 'payments-2.example.com' },
    { file: FILE, from: '"paymentTimeoutMs": 3000', to: HASTY },
  ],
};

export const FIX: DemoCommit = {
  message: 'Wait for payments again',
  edits: [{ file: FILE, from: HASTY, to: '"paymentTimeoutMs": 2000' }],
};

/** Commits that a person may try afterwards, with their outcomes. */
export const TRY_NEXT: Edit = { file: FILE, from: '"paymentTimeoutMs": 2000', to: HASTY };

/** How the simulated tills take to such files: names that end in .invalid resolve nowhere (RFC 2606), and haste makes errors. */
export const TILLS = {
  failWhen: /[.]invalid"/,
  telemetrySeconds: 1,
  driftWhen: new RegExp(`${HASTY}\\b`),
  driftMetric: 'error_rate',
} as const;

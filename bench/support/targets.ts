/** The project's promises and goals. Absolute times apply to the machine on which they were set, 2 cores. */
export const TARGETS = {
  pushToApplied: 'targets: p50 250 ms, p99 1 s; aim 50 and 250 ms',
  hookAccepted: 'targets: p99 50 ms under 200 requests/s; aim 10 ms',
  polls: 'targets: 5 × git ls-remote; aim: the bare request',
  devicePolls: 'targets: 8,000; aim 30,000',
  fleet: 'targets: 30 s for 10,000 devices; aim 10 s',
  memory: 'targets: 500 MB with 10,000 idle devices; aim 200 MB',
  strangers: 'targets: within 20 MB after a million requests',
  firstImport: 'targets: 3 s for 10,000 devices, in 110 requests',
  laterSync: 'targets: 1.5 s for 10,000 devices',
  syncGrowth: 'targets: 11 × for ten times as many devices',
  firstPage: 'targets: 30 KB',
  keystroke: 'targets: 100 ms',
  shownChange: 'targets: 500 ms',
  longTask: 'targets: 100 ms, and a flat heap',
  tenants: 'aim: at most 1.5 × alone',
} as const;

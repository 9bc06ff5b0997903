import { expect, test } from 'vitest';
import { type WhySnapshot, why } from '../../src/inventory/why.ts';
import { RolloutPolicy } from '../../src/policy/policy.ts';
import type { Rollout } from '../../src/rollout/rollout.ts';
import { aDevice } from '../support/device.ts';

const NOW = new Date('2026-01-01T00:00:00Z');
const A = 'a'.repeat(64);
const B = 'b'.repeat(64);

/** A device that runs its folder's bundle. */
function converged(): WhySnapshot {
  return {
    device: aDevice({
      id: 'till-1',
      desiredBundle: A,
      desiredRevisionId: 'r',
      goodBundle: A,
      goodRevisionId: 'r',
      reportedBundle: A,
      reportedAt: NOW,
    }),
    source: {
      organizationId: 'o',
      id: 's',
      name: 'tills',
      url: 'https://git.example/x',
      ref: 'main',
      layout: 'repo',
      authSealed: null,
      authHint: null,
      webhookProvider: null,
      webhookSecretSealed: null,
      webhookSecretLast4: null,
      webhookOptions: null,
      webhookHookId: null,
      hookRepositoryId: null,
      forge: null,
      apiTokenSealed: null,
      apiTokenHint: null,
      pollIntervalSeconds: 60,
      allOrNothing: false,
      driftPolicy: 'heal',
      rolloutPolicy: RolloutPolicy.parse({}),
      policyFrom: 'git',
      reportStatus: true,
      heldAt: null,
      heldBy: null,
      holdReason: null,
      status: 'ok',
      headCommit: 'c'.repeat(40),
      preparedCommit: 'c'.repeat(40),
      revisionId: 'r',
      lastCheckedAt: NOW,
      lastSyncedAt: NOW,
      movedTo: null,
      isQuiet: false,
      errorCode: null,
      errorDetail: null,
      failures: 0,
      expectedCommit: null,
      expectedBefore: null,
      expectedUntil: null,
      nextCheckAt: NOW,
      hookReceivedAt: null,
      version: 1,
      createdAt: NOW,
      updatedAt: NOW,
    },
    path: {
      path: '',
      bundle: A,
      candidate: A,
      revisionId: 'r',
      verdict: 'valid',
      evaluatedRevisionId: 'r',
      errors: [],
      isStale: false,
      updatedAt: NOW,
    },
    deployment: undefined,
    retryAt: null,
    rollout: undefined,
    failures: [],
    siteHold: null,
    namesakes: [],
    reenrolment: undefined,
    instances: [],
    now: NOW,
  };
}

const aRollout = (change: Partial<Rollout>): Rollout => ({
  ...{ organizationId: 'o', id: 'x', sourceId: 's', revisionId: 'r', kind: 'revision', state: 'running', policy: RolloutPolicy.parse({}) },
  ...{ reason: null, createdBy: 'git', waiting: null, nextLookAt: null, endCode: null, endDetail: null, windowsOverriddenBy: null },
  ...{ version: 1, createdAt: NOW, startedAt: NOW, finishedAt: null },
  ...change,
});

const codes = (change: (snapshot: WhySnapshot) => void): string[] => {
  const snapshot = converged();
  change(snapshot);
  return why(snapshot).map((blocker) => blocker.code);
};

const asked = (at: Date): NonNullable<WhySnapshot['reenrolment']> => ({
  ...{
    machine: 'aaaaaaaa',
    address: '10.0.0.5',
    requestedAt: at,
    lastRequestedAt: at,
    allowedUntil: null,
    allowedMachine: null,
    allowedBy: null,
  },
});

test('a converged device has no blockers', () => expect(codes(() => {})).toEqual([]));

test.each<[string, string[], (snapshot: WhySnapshot) => void]>([
  [
    'unbound',
    ['not_bound'],
    (s) => {
      s.source = undefined;
    },
  ],
  [
    'stopped',
    ['stopped'],
    (s) => {
      s.device.following = false;
    },
  ],
  [
    'with a copy',
    ['cloned'],
    (s) => {
      s.device.clonedSince = NOW;
      s.instances = [
        { instance: 'aaaaaaaa.00000001', address: '10.0.0.5', lastSeenAt: NOW },
        { instance: 'bbbbbbbb.00000001', address: '10.0.0.9', lastSeenAt: NOW },
      ];
    },
  ],
  ['flashed again, and waiting for an operator', ['reenrolment_requested'], (s) => void Object.assign(s, { reenrolment: asked(NOW) })],
  [
    'flashed again, and allowed by an operator',
    [],
    (s) => void Object.assign(s, { reenrolment: { ...asked(NOW), allowedUntil: new Date(NOW.getTime() + 1_000) } }),
  ],
  [
    'requested by a machine that stopped days ago',
    [],
    (s) => void Object.assign(s, { reenrolment: asked(new Date(NOW.getTime() - 3 * 86_400_000)) }),
  ],
  [
    'refused by the git host',
    ['source_git_auth'],
    (s) => void Object.assign(s.source ?? {}, { status: 'failing', errorCode: 'git_auth', errorDetail: '401' }),
  ],
  [
    'of a source that has not been checked yet',
    ['source_not_synced'],
    (s) => {
      Object.assign(s.source ?? {}, { status: 'new', headCommit: null });
      s.path = undefined;
    },
  ],
  [
    'waiting for a commit that a hook named',
    ['commit_not_visible'],
    (s) => void Object.assign(s.source ?? {}, { status: 'waiting', expectedCommit: 'd' }),
  ],
  [
    'without a folder',
    ['folder_missing'],
    (s) => {
      s.path = undefined;
    },
  ],
  ['with an invalid folder', ['validation_failed'], (s) => void Object.assign(s.path ?? {}, { verdict: 'invalid' })],
  ['with a removed folder', ['folder_removed'], (s) => void Object.assign(s.path ?? {}, { verdict: 'missing' })],
  ['of a rejected revision', ['revision_rejected'], (s) => void Object.assign(s.source ?? {}, { status: 'invalid' })],
  [
    'held',
    ['held'],
    (s) => {
      s.device.hold = { at: NOW.toISOString(), by: 'ada', reason: 'audit', untilNewerRevision: false, revisionId: null };
    },
  ],
  [
    'offline with a bundle to apply',
    ['offline', 'deploying'],
    (s) => {
      Object.assign(s.path ?? {}, { bundle: B, candidate: B });
      Object.assign(s.device, { connectivity: 'offline', deploymentId: 'x', desiredBundle: B });
    },
  ],
  [
    'that never connected',
    ['never_seen', 'deploying'],
    (s) => {
      Object.assign(s.path ?? {}, { bundle: B, candidate: B });
      Object.assign(s.device, { connectivity: 'unknown', lastSeenAt: null, deploymentId: 'x', reportedBundle: null });
    },
  ],
  [
    'rolled back',
    ['rolled_back'],
    (s) => {
      Object.assign(s.path ?? {}, { bundle: B, candidate: B });
      Object.assign(s.device, { quarantinedBundle: B, errorCode: 'health_check_failed' });
    },
  ],
  [
    'failed with a retry to come',
    ['retry_scheduled'],
    (s) => {
      Object.assign(s.path ?? {}, { bundle: B, candidate: B });
      s.device.quarantinedBundle = B;
      s.retryAt = NOW;
    },
  ],
  ['not reached by the rollout yet', ['awaiting_rollout'], (s) => void Object.assign(s.path ?? {}, { bundle: B, candidate: B })],
  [
    'of a rollout that was paused a moment ago',
    ['rollout_paused'],
    (s) => {
      Object.assign(s.path ?? {}, { bundle: B, candidate: B });
      s.rollout = aRollout({ state: 'paused', waiting: { code: 'max_parallel_per_site', detail: 'one at a time' } });
    },
  ],
  ['of a head that was aborted, then rolled back and released', ['not_started'], (s) => void Object.assign(s.path ?? {}, { candidate: B })],
  [
    'of a wave without a success',
    ['no_success'],
    (s) => {
      Object.assign(s.path ?? {}, { bundle: B, candidate: B });
      s.rollout = aRollout({ waiting: { code: 'no_success', detail: 'no device of canary has succeeded' } });
    },
  ],
  ['changed by hand', ['drifted'], (s) => void Object.assign(s.device, { syncStatus: 'drifted', driftedPaths: ['app.json'] })],
])('a device that is %s has the blockers %j', (_what, expected, change) => {
  expect(codes(change)).toEqual(expected);
});

test('several blockers are listed in the order in which they must be lifted', () => {
  const found = codes((s) => {
    s.device.following = false;
    Object.assign(s.source ?? {}, { status: 'failing', errorCode: 'git_timeout' });
    s.device.hold = { at: NOW.toISOString(), by: 'ada', reason: 'audit', untilNewerRevision: false, revisionId: null };
  });
  expect(found).toEqual(['stopped', 'source_git_timeout', 'held']);
});

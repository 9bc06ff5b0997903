import { z } from 'zod';
import { DEPLOYMENT_STATES } from '../deployment.ts';
import { Count, failure, Id, Text, Time } from './fields.ts';
import { kind } from './kind.ts';

/** Data of every event of a rollout. */
const rollout = { sourceId: Id, revisionId: Id };
/** The wave that waits for an approval; null: the whole rollout. */
const asked = { wave: Count.nullable(), name: Text.nullable() };
const wave = { wave: Count, name: Text };
const counts = { succeeded: Count, failed: Count, offline: Count, open: Count };

/** Events of a rollout, and of the deployments and commands of single devices. */
export const ROLLOUT_EVENTS = {
  'rollout.planned': kind('info', 'is planned', {
    ...rollout,
    commit: Text,
    kind: z.enum(['revision', 'rollback']),
    paths: Count,
  }),
  'rollout.awaiting_approval': kind('warning', 'waits for approval', { ...rollout, ...asked }),
  'rollout.approved': kind('info', 'was approved', { ...rollout, ...asked, by: Text, comment: Text.nullable() }),
  'rollout.rejected': kind('warning', 'was rejected', { ...rollout, ...asked, by: Text, comment: Text.nullable() }),
  'rollout.running': kind('info', 'is running', rollout),
  'rollout.wave_opened': kind('info', 'opened its wave "{name}"', { ...rollout, ...wave, devices: Count }),
  'rollout.wave_passed': kind('info', 'passed its wave "{name}"', { ...rollout, ...wave, skippedBy: z.null() }),
  'rollout.wave_skipped': kind('warning', 'skipped its wave "{name}"', { ...rollout, ...wave, skippedBy: Text }),
  'rollout.blocked': kind('warning', 'is blocked', { ...rollout, ...failure }),
  'rollout.windows_overridden': kind('warning', 'continues outside of its windows', { ...rollout, by: Text, reason: Text }),
  'rollout.paused': kind('warning', 'is paused', { ...rollout, by: Text, reason: Text }),
  'rollout.resumed': kind('info', 'was resumed', { ...rollout, by: Text }),
  'rollout.retried': kind('info', 'retries its failed devices', { ...rollout, by: Text, devices: Count }),
  'rollout.completed': kind('info', 'is complete', { ...rollout, ...counts }),
  'rollout.caught_up': kind('info', 'caught up with devices that joined later', { ...rollout, ...wave, devices: Count }),
  /** `by`: the rollout that replaced it. */
  'rollout.superseded': kind('info', 'was superseded by a newer commit', { ...rollout, by: Id }),
  'rollout.aborted': kind('error', 'was aborted', { ...rollout, ...failure, revert: z.boolean(), ...counts }),
  'rollout.reverting': kind('error', 'is being reverted', { ...rollout, devices: Count }),
  'rollout.reverted': kind('warning', 'was reverted', { ...rollout, reverted: Count, failed: Count, away: Count }),
  'rollout.not_reported': kind('warning', 'could not be posted to its git host', { ...rollout, commit: Text.optional(), ...failure }),
  'deployment.queued': kind(
    'info',
    'has a queued deployment',
    {
      deploymentId: Id,
      rolloutId: Id.nullable(),
      /** Wave of the rollout that takes the device. */
      wave: Count.nullable().optional(),
      kind: z.enum(['change', 'rollback', 'heal', 'retry']),
      attempt: Count,
    },
    'subject',
  ),
  'deployment.deferred': kind('info', 'is busy until {until}', { deploymentId: Id, until: Time, reason: Text }),
  'deployment.state': kind(
    { otherwise: 'info', field: 'state', raised: { rolled_back: 'warning', failed: 'error', timed_out: 'error' } },
    'has a deployment that is {state}',
    {
      deploymentId: Id,
      rolloutId: Id.nullable(),
      wave: Count.nullable().optional(),
      state: z.enum(DEPLOYMENT_STATES),
      bundle: Text,
      code: Text.nullable().optional(),
      detail: Text.nullable().optional(),
    },
  ),
  'command.queued': kind('info', 'has the command {type} queued', { commandId: Id, type: Text }),
  'command.state': kind(
    { otherwise: 'info', field: 'state', raised: { expired: 'warning', failed: 'warning' } },
    'has the command {type} {state}',
    {
      commandId: Id,
      type: Text,
      state: z.enum(['queued', 'sent', 'completed', 'failed', 'expired', 'cancelled']),
      /** The device's own report. */
      result: z.unknown().optional(),
    },
  ),
};

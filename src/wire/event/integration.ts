import { z } from 'zod';
import { Count, changed, failure, Id, Text, Time } from './fields.ts';
import { kind } from './kind.ts';

const name = { name: Text };
const counts = z.object({
  seen: Count,
  created: Count,
  updated: Count,
  unchanged: Count,
  exported: Count,
  archived: Count,
  restored: Count,
  conflicts: Count,
  resolved: Count,
  failed: Count,
  pages: Count,
});

const conflict = { conflictId: Id, integration: Text, field: Text };

/** Events of integrations with device platforms. */
export const INTEGRATION_EVENTS = {
  'integration.created': kind('info', 'was created', { ...name, type: Text }),
  'integration.changed': kind('info', 'was changed', { ...name, ...changed }),
  'integration.deleted': kind('info', 'was deleted', name),
  'integration.primary_changed': kind('info', 'is the primary integration now', name),
  'integration.synced': kind('info', 'was synced', { ...name, counts }),
  'integration.sync_failed': kind('warning', 'cannot be synced', { ...name, ...failure, failures: Count }),
  'integration.blocked': kind('error', 'is blocked until it gets new credentials', { ...name, ...failure }),
  'integration.recovered': kind('info', 'is synced again', { ...name, failures: Count }),
  'integration.stale': kind('warning', 'was not synced in time', { ...name, since: Time.optional() }),
  'integrations.enabled': kind('info', 'was switched on', {}),
  'integrations.disabled': kind('info', 'was switched off', {}),
  'conflict.opened': kind('warning', 'has a conflict in {field}, which a person must resolve', conflict),
  'conflict.resolved': kind('info', 'has no conflict in {field} any more: {by} chose {resolution}', {
    ...conflict,
    resolution: Text,
    by: Text,
  }),
};

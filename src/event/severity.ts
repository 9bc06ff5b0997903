import type { EventType } from './event.ts';

/** From harmless to bad. `warning`: somebody should look at it; `error`: something that was wanted did not happen. */
export const SEVERITIES = ['info', 'warning', 'error'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** A severity, or one that the text in a field of the event's data raises. */
type Rule = Severity | { otherwise: Severity; field: string; raised: Readonly<Record<string, Severity>> };

/** The severity of every type of event, said here once. */
const RULES: Readonly<Record<EventType, Rule>> = {
  'device.registered': 'info',
  'device.changed': 'info',
  'device.deleted': 'info',
  'device.started': 'info',
  'device.stopped': 'info',
  'device.status': { otherwise: 'info', field: 'status', raised: { OFFLINE: 'warning', ERROR: 'error' } },
  'device.held': 'info',
  'device.released': 'info',
  'device.drifted': 'warning',
  'device.key_rotated': 'info',
  'device.reenrolment_requested': 'warning',
  'device.reenrolment_allowed': 'info',
  'device.reenrolment_refused': 'info',
  'device.reenrolled': 'info',
  'device.cloned': 'warning',
  'device.clone_ended': 'info',
  'device.moved': 'info',
  'device.folder_gone': 'warning',
  'workspace.drifted': 'warning',
  'workspace.healed': 'info',
  'workspace.failed': 'error',
  'workspace.recovered': 'info',
  'source.created': 'info',
  'source.changed': 'info',
  'source.deleted': 'info',
  'source.synced': 'info',
  'source.failed': { otherwise: 'warning', field: 'status', raised: { failing: 'error' } },
  'source.webhook_installed': 'info',
  'source.held': 'warning',
  'source.released': 'info',
  'site.created': 'info',
  'site.held': 'warning',
  'site.released': 'info',
  'revision.prepared': 'info',
  'revision.rejected': { otherwise: 'warning', field: 'verdict', raised: { invalid: 'error' } },
  'rollout.planned': 'info',
  'rollout.awaiting_approval': 'warning',
  'rollout.approved': 'info',
  'rollout.rejected': 'warning',
  'rollout.running': 'info',
  'rollout.wave_opened': 'info',
  'rollout.wave_passed': 'info',
  'rollout.wave_skipped': 'warning',
  'rollout.blocked': 'warning',
  'rollout.windows_overridden': 'warning',
  'rollout.paused': 'warning',
  'rollout.resumed': 'info',
  'rollout.retried': 'info',
  'rollout.completed': 'info',
  'rollout.caught_up': 'info',
  'rollout.superseded': 'info',
  'rollout.aborted': 'error',
  'rollout.reverting': 'error',
  'rollout.reverted': 'warning',
  'rollout.not_reported': 'warning',
  'merge_request.planned': { otherwise: 'info', field: 'verdict', raised: { invalid: 'warning', error: 'warning' } },
  'merge_request.not_posted': 'warning',
  'deployment.queued': 'info',
  'deployment.deferred': 'info',
  'deployment.state': { otherwise: 'info', field: 'state', raised: { rolled_back: 'warning', failed: 'error', timed_out: 'error' } },
  'command.queued': 'info',
  'command.state': { otherwise: 'info', field: 'state', raised: { expired: 'warning', failed: 'warning' } },
  'hook.received': 'info',
  'notification.created': 'info',
  'notification.changed': 'info',
  'notification.deleted': 'info',
  'notification.failing': 'warning',
  'notification.recovered': 'info',
  'notification.disabled': 'error',
  'notification.test': 'info',
  'job.failing': 'error',
  'job.recovered': 'info',
  'service.watching': 'info',
  'service.not_watching': 'warning',
};

export const EVENT_TYPES = Object.keys(RULES) as readonly EventType[];

export function severityOf({ type, data }: { type: EventType; data: Record<string, unknown> }): Severity {
  const rule = RULES[type];
  if (typeof rule === 'string') return rule;
  const value = String(data[rule.field]);
  return (Object.hasOwn(rule.raised, value) ? rule.raised[value] : undefined) ?? rule.otherwise;
}

/** Events of `type`; where `field` is not null only those whose data has the text `value` there. */
export type Selector = { type: EventType; field: string | null; value: string | null };

/** What selects exactly the events of `type` that are at least `minimum`. */
export function selectorsOf(type: EventType, minimum: Severity): Selector[] {
  const rule = RULES[type];
  const enough = (severity: Severity) => SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(minimum);
  if (enough(typeof rule === 'string' ? rule : rule.otherwise)) return [{ type, field: null, value: null }];
  if (typeof rule === 'string') return [];
  return Object.entries(rule.raised)
    .filter(([, severity]) => enough(severity))
    .map(([value]) => ({ type, field: rule.field, value }));
}

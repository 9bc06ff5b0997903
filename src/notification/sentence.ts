import type { Event, EventType } from '../event/event.ts';
import { foreignText } from '../git/problems.ts';

/** What is said of the one whom the event is about; `{field}` is text of the event's data. */
const SAYINGS: Readonly<Record<EventType, string>> = {
  'device.registered': 'was registered',
  'device.changed': 'was changed',
  'device.deleted': 'was deleted',
  'device.started': 'follows its source',
  'device.stopped': 'no longer follows its source',
  'device.status': 'is {status}',
  'device.held': 'is held',
  'device.released': 'is no longer held',
  'device.drifted': 'runs something other than it was told',
  'device.key_rotated': 'has a new key',
  'device.reenrolment_requested': 'asks to be enrolled again',
  'device.reenrolment_allowed': 'may enrol again',
  'device.reenrolment_refused': 'may not enrol again',
  'device.reenrolled': 'was enrolled again and has a new key',
  'device.cloned': 'has a copy',
  'device.clone_ended': 'has no copy any more',
  'device.moved': 'follows its folder to {to}',
  'device.folder_gone': 'has no folder any more',
  'workspace.drifted': 'has a workspace that was changed by hand',
  'workspace.healed': 'has its workspace back as it was',
  'workspace.failed': 'has a workspace that cannot follow it',
  'workspace.recovered': 'has a workspace that follows it again',
  'source.created': 'was created',
  'source.changed': 'was changed',
  'source.deleted': 'was deleted',
  'source.synced': 'is {status}',
  'source.failed': 'cannot be read',
  'source.webhook_installed': 'has its webhook at the git host',
  'source.held': 'is held',
  'source.released': 'is no longer held',
  'site.created': 'was created',
  'site.held': 'is held',
  'site.released': 'is no longer held',
  'revision.prepared': 'is valid',
  'revision.rejected': 'is {verdict}',
  'rollout.planned': 'is planned',
  'rollout.awaiting_approval': 'waits for approval',
  'rollout.approved': 'was approved',
  'rollout.rejected': 'was rejected',
  'rollout.running': 'is running',
  'rollout.wave_opened': 'opened its wave "{name}"',
  'rollout.wave_passed': 'passed its wave "{name}"',
  'rollout.wave_skipped': 'skipped its wave "{name}"',
  'rollout.blocked': 'is blocked',
  'rollout.windows_overridden': 'goes on outside of its windows',
  'rollout.paused': 'is paused',
  'rollout.resumed': 'goes on',
  'rollout.retried': 'tries again what failed',
  'rollout.completed': 'is complete',
  'rollout.caught_up': 'reached devices that came later',
  'rollout.superseded': 'was superseded by a newer commit',
  'rollout.aborted': 'was aborted',
  'rollout.reverting': 'is being reverted',
  'rollout.reverted': 'was reverted',
  'rollout.not_reported': 'is not shown at its git host',
  'merge_request.planned': 'was planned',
  'merge_request.not_posted': 'was not told of its plan',
  'deployment.queued': 'has a deployment ahead',
  'deployment.deferred': 'is busy until {until}',
  'deployment.state': 'has a deployment that is {state}',
  'command.queued': 'has the command {type} ahead',
  'command.state': 'has the command {type} {state}',
  'hook.received': 'had a webhook about {ref}',
  'notification.created': 'was created',
  'notification.changed': 'was changed',
  'notification.deleted': 'was deleted',
  'notification.failing': 'cannot be delivered',
  'notification.recovered': 'is delivered again',
  'notification.disabled': 'was disabled',
  'notification.test': 'works',
  'job.failing': 'has work of the service that keeps failing ({queue})',
  'job.recovered': 'has work of the service that succeeds again ({queue})',
  'service.watching': 'watches devices',
  'service.not_watching': 'no longer watches devices',
};

/** Fields that say why, the first that is there. */
const REASONS = ['detail', 'reason', 'why', 'errors', 'lastError'];
const COUNTS = ['succeeded', 'failed', 'offline'];

/** One line for people, at most about 300 characters. `sourceName`: of the source that the event is about. */
export function sentenceOf(event: Event, sourceName: string | undefined): string {
  const said = SAYINGS[event.type].replace(/\{(\w+)\}/g, (_all, field: string) => wordOf(event.data[field]));
  const counts = COUNTS.filter((field) => typeof event.data[field] === 'number').map((field) => `${event.data[field]} ${field}`);
  const reason = REASONS.map((field) => textOf(event.data[field])).find((text) => text !== '');
  const tail = `${counts.length === 0 ? '' : ` (${counts.join(', ')})`}${reason === undefined ? '' : `: ${reason}`}`;
  return foreignText(`${whoOf(event, sourceName)} ${said}${tail}`);
}

/** The id of the source that the event is about, where it is about one. */
export function sourceIdOf({ subject, data }: Event): string | undefined {
  if (subject.startsWith('source:')) return idOf(subject);
  return typeof data.sourceId === 'string' ? data.sourceId : undefined;
}

function whoOf({ type, subject, data }: Event, sourceName: string | undefined): string {
  const commit = textOf(data.commit).slice(0, 10);
  switch (type.slice(0, type.indexOf('.'))) {
    case 'rollout':
      return `Rollout of ${[sourceName, commit].filter(Boolean).join(' ') || idOf(subject)}`;
    case 'revision':
      return `Commit ${commit} of ${sourceName ?? idOf(subject)}`;
    case 'source':
    case 'hook':
      return `Source ${sourceName ?? (textOf(data.name) || idOf(subject))}`;
    case 'merge_request':
      return `Merge request ${textOf(data.number)} of ${sourceName ?? idOf(subject)}`;
    case 'site':
      return `Site ${textOf(data.name) || idOf(subject)}`;
    case 'notification':
      return `Notification ${textOf(data.name)}`;
    case 'service':
      return 'The controller';
    default:
      return `Device ${idOf(subject)}`;
  }
}

function idOf(subject: string): string {
  return subject.slice(subject.indexOf(':') + 1);
}

function wordOf(value: unknown): string {
  return textOf(value)
    .replaceAll('_', ' ')
    .replace(/^[A-Z]+$/, (word) => word.toLowerCase());
}

/** '' for what cannot be said in a line; of a list, its first. */
function textOf(value: unknown): string {
  if (Array.isArray(value)) return textOf(value[0]);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

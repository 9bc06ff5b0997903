/** A fact that happened. Append-only, numbered per organization, broadcast live. */
export type NewEvent = {
  organizationId: string;
  /** Noun and past participle, for example `deployment.succeeded`, `source.synced`. */
  type: EventType;
  /** `<noun>:<id>`, for example `device:terminal-7`. */
  subject: string;
  data: Record<string, unknown>;
};

export type Event = NewEvent & { cursor: number; at: Date };

export type EventType =
  | 'device.registered'
  | 'device.changed'
  | 'device.deleted'
  | 'device.started'
  | 'device.stopped'
  | 'device.status'
  | 'device.held'
  | 'device.released'
  | 'device.drifted'
  | 'device.key_rotated'
  | 'device.reenrolment_requested'
  | 'device.reenrolment_allowed'
  | 'device.reenrolment_refused'
  | 'device.reenrolled'
  | 'device.cloned'
  | 'device.clone_ended'
  | 'device.moved'
  | 'device.folder_gone'
  | 'workspace.drifted'
  | 'workspace.healed'
  | 'workspace.failed'
  | 'workspace.recovered'
  | 'source.created'
  | 'source.changed'
  | 'source.deleted'
  | 'source.synced'
  | 'source.failed'
  | 'source.webhook_installed'
  | 'source.held'
  | 'source.released'
  | 'site.created'
  | 'site.held'
  | 'site.released'
  | 'revision.prepared'
  | 'revision.rejected'
  | 'rollout.planned'
  | 'rollout.awaiting_approval'
  | 'rollout.approved'
  | 'rollout.rejected'
  | 'rollout.running'
  | 'rollout.wave_opened'
  | 'rollout.wave_passed'
  | 'rollout.wave_skipped'
  | 'rollout.blocked'
  | 'rollout.windows_overridden'
  | 'rollout.paused'
  | 'rollout.resumed'
  | 'rollout.retried'
  | 'rollout.completed'
  | 'rollout.caught_up'
  | 'rollout.superseded'
  | 'rollout.aborted'
  | 'rollout.reverting'
  | 'rollout.reverted'
  | 'rollout.not_reported'
  | 'merge_request.planned'
  | 'merge_request.not_posted'
  | 'deployment.queued'
  | 'deployment.deferred'
  | 'deployment.state'
  | 'command.queued'
  | 'command.state'
  | 'hook.received'
  | 'notification.created'
  | 'notification.changed'
  | 'notification.deleted'
  | 'notification.failing'
  | 'notification.recovered'
  | 'notification.disabled'
  | 'notification.test'
  | 'job.failing'
  | 'job.recovered'
  | 'service.watching'
  | 'service.not_watching';

/** An event as JSON, for the API, live updates and webhooks alike. */
export type EventJson = Omit<Event, 'at'> & { at: string };

export function viewEvent(event: Event): EventJson {
  const { cursor, type, organizationId, subject, data } = event;
  return { cursor, type, at: event.at.toISOString(), organizationId, subject, data };
}

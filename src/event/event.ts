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
  | 'workspace.drifted'
  | 'workspace.healed'
  | 'source.created'
  | 'source.changed'
  | 'source.deleted'
  | 'source.synced'
  | 'source.failed'
  | 'source.webhook_installed'
  | 'source.held'
  | 'source.released'
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
  | 'service.watching'
  | 'service.not_watching';

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
  | 'revision.prepared'
  | 'revision.rejected'
  | 'rollout.planned'
  | 'rollout.running'
  | 'rollout.completed'
  | 'rollout.superseded'
  | 'rollout.aborted'
  | 'deployment.queued'
  | 'deployment.state'
  | 'command.queued'
  | 'command.state'
  | 'hook.received'
  | 'service.watching'
  | 'service.not_watching';

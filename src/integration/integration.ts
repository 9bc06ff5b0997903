import type { NewEvent } from '../event/event.ts';
import type { EventData, EventType } from '../wire/event/events.ts';
import type { Json } from '../wire/text/json.ts';

export const DIRECTIONS = ['import', 'export', 'both'] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** How a field is decided that both sides changed. `merge` is for sets and maps: the changes of both are kept. */
export const STRATEGIES = ['local_wins', 'remote_wins', 'newest_wins', 'manual', 'merge'] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** The seed allows 1 to 24 hours; operators of fleets ask for minutes. */
export const INTERVAL_SECONDS = { min: 60, max: 86_400 } as const;
/** A warning stands when no sync succeeded for this time. The earlier systems have the same rule. */
export const STALE_AFTER_SECONDS = 3_600;

/** Bounds the syncs that one organization can cause. */
export const MAX_PER_ORGANIZATION = 100;

/** Direction and strategy of one field, where they differ from the integration's. */
export type FieldRule = { direction?: Direction | undefined; strategy?: Strategy | undefined };

/** An account on a device platform: one row of `device_services`. */
export type Integration = {
  organizationId: string;
  /** UUID, unique in the service: key of jobs, and part of the hook's URL. */
  id: string;
  /** Unique in the organization, made of the type and a count: `golioth`, `golioth_2`. The API names integrations by it. */
  slug: string;
  name: string;
  /** The provider's kind. */
  type: string;
  /** Settings without secrets, valid by the provider's schema. */
  settings: Record<string, Json>;
  credentialsSealed: string | null;
  /** The last characters of each credential, for people. */
  credentialsHint: Record<string, string>;
  hookSecretSealed: string | null;
  hookSecretLast4: string | null;
  isActive: boolean;
  isPrimary: boolean;
  direction: Direction;
  strategy: Strategy;
  /** null: all fields of the provider. */
  fields: string[] | null;
  fieldRules: Record<string, FieldRule>;
  autoSync: boolean;
  intervalSeconds: number;
  nextRunAt: Date | null;
  /** The requester of the next run; null: the schedule. */
  requestedBy: string | null;
  lastRunAt: Date | null;
  lastSuccessAt: Date | null;
  failures: number;
  errorCode: string | null;
  errorDetail: string | null;
  /** Why nothing is asked of the platform until a person acts, mostly an expired token. */
  blockedReason: string | null;
  staleSince: Date | null;
  walks: number;
  version: number;
  createdAt: Date;
  updatedAt: Date;
};

export type IntegrationEvent = Extract<EventType, `integration.${string}`>;

export function eventOf<Type extends IntegrationEvent>(
  { organizationId, slug }: Pick<Integration, 'organizationId' | 'slug'>,
  type: Type,
  data: EventData<Type>,
): NewEvent {
  return { organizationId, type, subject: `integration:${slug}`, data } as NewEvent;
}

/** A device at a platform: one row of `device_service_assignments`. */
export type Assignment = {
  organizationId: string;
  serviceId: string;
  deviceId: string;
  /** null: the next sync creates the device at the platform. */
  externalId: string | null;
  identities: Identity[];
  /** Last common value of each field. */
  base: Record<string, Json>;
  remoteHash: string | null;
  seenWalk: number;
  errorCode: string | null;
  errorDetail: string | null;
  failures: number;
  retryAt: Date | null;
  syncedAt: Date | null;
};

/** Another id of a device at its platform, in the order of trust. A name is no identity. */
export type Identity = { kind: 'certificate' | 'hardware'; value: string };

/** Counts of one run. */
export type RunCounts = {
  seen: number;
  created: number;
  updated: number;
  unchanged: number;
  exported: number;
  archived: number;
  restored: number;
  conflicts: number;
  resolved: number;
  failed: number;
  pages: number;
};

export const NO_COUNTS: RunCounts = {
  seen: 0,
  created: 0,
  updated: 0,
  unchanged: 0,
  exported: 0,
  archived: 0,
  restored: 0,
  conflicts: 0,
  resolved: 0,
  failed: 0,
  pages: 0,
};

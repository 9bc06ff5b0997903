import { z } from 'zod';

/** Messages of the Socket.IO namespace `/live`. Times are RFC 3339 UTC. */

/** Topics that one socket may hold. */
export const MAX_TOPICS = 200;
/** Missed messages that one subscription may request. A client that missed more loads the present state instead. */
export const MAX_REPLAYED = 10_000;

export const Topic = z
  .string()
  .max(80)
  .regex(
    /^(devices|integrations|events|device:[a-z0-9][a-z0-9._-]{0,62}|rollout:[A-Za-z0-9-]{1,64})$/,
    'must be devices, integrations, events, device:<id> or rollout:<id>',
  );
export type Topic = z.infer<typeof Topic>;

export const SubscribeRequest = z.strictObject({
  topics: z.array(Topic).min(1).max(MAX_TOPICS),
  /** Highest cursor that the client received. The server first sends the missed messages of these topics. */
  after: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).optional(),
});
export type SubscribeRequest = z.infer<typeof SubscribeRequest>;

export const UnsubscribeRequest = z.strictObject({ topics: z.array(Topic).min(1).max(MAX_TOPICS) });

const Refusal = z.object({
  ok: z.literal(false),
  /** `invalid_request`, `too_many_topics`, `busy`, `unavailable`, or `cursor_too_old`: then reload, and subscribe without `after`. */
  code: z.string(),
  detail: z.string(),
  /** With `cursor_too_old`: the cursors that are still kept. */
  first: z.number().optional(),
  last: z.number().optional(),
});

/** `cursor`: all later messages arrive live. `replayed`: number of missed messages that follow at once. */
export const SubscribeAnswer = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), cursor: z.number(), replayed: z.number() }),
  Refusal,
]);
export type SubscribeAnswer = z.infer<typeof SubscribeAnswer>;

export const UnsubscribeAnswer = z.discriminatedUnion('ok', [z.object({ ok: z.literal(true) }), Refusal]);
export type UnsubscribeAnswer = z.infer<typeof UnsubscribeAnswer>;

/** `event`: a fact that happened. */
export const LiveEvent = z.object({
  cursor: z.number(),
  type: z.string(),
  at: z.string(),
  organizationId: z.string(),
  subject: z.string(),
  data: z.record(z.string(), z.unknown()),
});
export type LiveEvent = z.infer<typeof LiveEvent>;

/** `device_update`: the present state of a device. Its name and first three fields are those of the earlier dashboards. */
export const DeviceUpdate = z.object({
  device_id: z.string(),
  status: z.enum(['ONLINE', 'OFFLINE', 'ERROR', 'UPDATING']),
  timestamp: z.string(),
  sync_status: z.string(),
  connectivity: z.string(),
  cursor: z.number(),
  /** Id of the attempt under way. */
  deployment: z.string().optional(),
  deleted: z.boolean().optional(),
});
export type DeviceUpdate = z.infer<typeof DeviceUpdate>;

/** `closing`: the reason why the server ends the connection soon: `unauthorized` (the token was revoked) or `shutting_down`. */
export const Closing = z.object({ code: z.string(), detail: z.string() });
export type Closing = z.infer<typeof Closing>;

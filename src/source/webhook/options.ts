import { z } from 'zod';

const HeaderName = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9-]+$/, 'must be the name of a header')
  .transform((name) => name.toLowerCase());

/** The authentication scheme of senders that have no fixed one. It contains no secret. */
export const HookOptions = z.discriminatedUnion('scheme', [
  /** Headers `webhook-id`, `webhook-timestamp` and `webhook-signature`; the secret is `whsec_…`. */
  z.strictObject({ scheme: z.literal('standard_webhooks') }),
  z.strictObject({
    scheme: z.literal('hmac'),
    header: HeaderName,
    /** In front of the digest, for example `sha256=`. */
    prefix: z.string().max(50).default(''),
    encoding: z.enum(['hex', 'base64']).default('hex'),
    algorithm: z.enum(['sha256', 'sha512']).default('sha256'),
    /** A header with seconds since 1970; the signature then covers timestamp, separator and body. */
    timestamp: z
      .strictObject({
        header: HeaderName,
        separator: z.string().max(10).default('.'),
        toleranceSeconds: z.number().int().min(1).max(3600).default(300),
      })
      .optional(),
  }),
  /** The request carries the secret itself in this header. */
  z.strictObject({ scheme: z.literal('header'), header: HeaderName }),
]);

export type HookOptions = z.output<typeof HookOptions>;

import { resolve } from 'node:path';
import { z } from 'zod';
import { MAX_TOKEN_CHARACTERS } from './tokens.ts';

/** Everything the environment decides, read once, frozen. Functions receive the part they need. */
export type Config = Readonly<z.output<typeof Environment>>;

const flag = (defaultValue: boolean) =>
  z
    .enum(['1', 'true', 'yes', 'on', '0', 'false', 'no', 'off', ''])
    .default(defaultValue ? 'true' : 'false')
    .transform((text) => ['1', 'true', 'yes', 'on'].includes(text));

function isOrigin(text: string): boolean {
  return text === '*' || (URL.parse(text)?.origin === text && !text.includes('*'));
}

/** One that an `Authorization` header can carry: any other would lock its owner out. */
const bearerToken = (minCharacters: number) =>
  z
    .string()
    .min(minCharacters, `must have at least ${minCharacters} characters`)
    .max(MAX_TOKEN_CHARACTERS, `must have at most ${MAX_TOKEN_CHARACTERS} characters`)
    .regex(/^[\x21-\x7e]*$/, 'must consist of visible ASCII characters, without spaces');

/** Below one request a second a limit would lock everybody out. */
const requestsPerSecond = (usual: number) => z.coerce.number().min(1).max(1_000_000).default(usual);

const Environment = z
  .object({
    HOST: z.string().default('127.0.0.1'),
    PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
    /** How devices and git hosts reach this service, for example https://bellwether.example.com; default: the address it listens on. */
    PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
    DATA_DIR: z
      .string()
      .default('./data')
      .transform((path) => resolve(path)),
    DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
    /** Session connection for LISTEN when DATABASE_URL goes through a transaction-mode pooler. */
    DATABASE_DIRECT_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
    ROLE: z.enum(['all', 'api', 'controller']).default('all'),
    BELLWETHER_ADMIN_TOKEN: bearerToken(16).optional(),
    /** Makes and disables organizations; default: the token in DATA_DIR/root-token. */
    BELLWETHER_ROOT_TOKEN: bearerToken(32).optional(),
    BELLWETHER_SECRET_KEY: z
      .string()
      .refine(
        (text) => text.split(',').every((key) => Buffer.from(key, 'base64').length === 32),
        'must be 32 bytes in base64, or several such keys with commas between: the first seals',
      )
      .optional(),
    CORS_ORIGINS: z
      .string()
      .default('')
      .transform((text) =>
        text
          .split(',')
          .map((origin) => origin.trim())
          .filter(Boolean),
      )
      .refine((origins) => origins.every(isOrigin), 'must be * or origins as browsers send them, such as https://fleet.example.com'),
    ALLOW_PRIVATE_GIT_HOSTS: flag(false),
    ALLOW_HTTP_GIT_HOSTS: flag(true),
    /** Notifications to private addresses and this machine, and without TLS. */
    ALLOW_PRIVATE_NOTIFICATION_HOSTS: flag(false),
    /** Sources whose URL is a path on this machine: for development. */
    ALLOW_LOCAL_SOURCES: flag(false),
    /** Behind a proxy of ours: the last entry of X-Forwarded-For is the client's address. */
    TRUST_PROXY: flag(false),
    /** Requests each second: per token, per device, per source and sender of hooks, and of refused credentials per address. */
    RATE_LIMIT_TOKEN: requestsPerSecond(500),
    RATE_LIMIT_DEVICE: requestsPerSecond(20),
    RATE_LIMIT_HOOK: requestsPerSecond(50),
    RATE_LIMIT_REFUSED: requestsPerSecond(20),
    /** For tests: the instant at which the process kills itself, or finds the disk full (faults.ts). */
    BELLWETHER_FAULT: z.string().optional(),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    /** Git operations in flight per git host. */
    GIT_HOST_CONCURRENCY: z.coerce.number().int().min(1).max(256).default(8),
    /** Worker threads that fetch, read and validate. */
    GIT_WORKERS: z.coerce.number().int().min(1).max(32).default(2),
    GIT_TIMEOUT_SECONDS: z.coerce.number().min(1).max(3600).default(60),
  })
  .transform((env) => Object.freeze(env));

/** @throws one error that names every variable that is wrong, and what is allowed. */
export function readConfig(env: Record<string, string | undefined>): Config {
  const known = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = Environment.safeParse(known);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`Cannot start: the environment is not valid\n${lines.join('\n')}`);
}

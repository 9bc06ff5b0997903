import { resolve } from 'node:path';
import { z } from 'zod';
import { issueText, MAX_TOKEN_CHARACTERS } from './wire/names.ts';
import { messageOf } from './wire/problem.ts';
import { type Proxies, readProxies } from './wire/proxies.ts';
import { tokenText, withoutLineEnd } from './wire/text/secret-text.ts';

/** All settings from the environment, read once and frozen. Each function receives the part that it needs. */
export type Config = Readonly<z.output<typeof Environment>> & { readonly proxies: Proxies };

const flag = (defaultValue: boolean) =>
  z
    .enum(['1', 'true', 'yes', 'on', '0', 'false', 'no', 'off', ''])
    .default(defaultValue ? 'true' : 'false')
    .transform((text) => ['1', 'true', 'yes', 'on'].includes(text));

function isOrigin(text: string): boolean {
  return text === '*' || (URL.parse(text)?.origin === text && !text.includes('*'));
}

function isIssuer(text: string): boolean {
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname));
}

/** A value of the role claim, with the role and the organization for which it stands. */
type RoleRule = { value: string; role: 'viewer' | 'operator' | 'admin'; organization: string | undefined };

const RoleText = z.string().regex(/^(?:viewer|operator|admin)(?:@[a-z0-9][a-z0-9-]{0,62})?$/);

function readRoles(text: string, c: z.RefinementCtx): RoleRule[] {
  try {
    return Object.entries(z.record(z.string(), RoleText).parse(JSON.parse(text))).map(([value, rule]) => {
      const [role, organization] = rule.split('@');
      return { value, role: z.enum(['viewer', 'operator', 'admin']).parse(role), organization };
    });
  } catch {
    c.addIssue({
      code: 'custom',
      message: 'must be a JSON object of claim values and roles, such as {"fleet-admins":"admin","acme":"viewer@acme"}',
    });
    return z.NEVER;
  }
}

/** A limit below one request a second would lock all clients out. */
const requestsPerSecond = (usual: number) => z.coerce.number().min(1).max(1_000_000).default(usual);

const Environment = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  /** URL at which devices and git hosts reach this service, such as https://bellwether.example.com or https://example.com/bw; default: its listening address. */
  PUBLIC_URL: z
    .url({ protocol: /^https?$/, error: 'must be an http(s) URL such as https://bellwether.example.com or https://example.com/bw' })
    .refine((text) => !/[?#@]/.test(text), 'must have no query, fragment or user name: scheme, host and path only')
    .transform((text) => text.replace(/\/+$/, ''))
    .optional(),
  DATA_DIR: z
    .string()
    .default('./data')
    .transform((path) => resolve(path)),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  /** Session connection for LISTEN when DATABASE_URL goes through a transaction-mode pooler. */
  DATABASE_DIRECT_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  ROLE: z.enum(['all', 'api', 'controller']).default('all'),
  BELLWETHER_ADMIN_TOKEN: tokenText({ min: 16, max: MAX_TOKEN_CHARACTERS }).optional(),
  /** Token that may create and disable organizations; default: the token in DATA_DIR/root-token. */
  BELLWETHER_ROOT_TOKEN: tokenText({ min: 32, max: MAX_TOKEN_CHARACTERS }).optional(),
  BELLWETHER_SECRET_KEY: z
    .string()
    .refine(
      (text) => text.split(',').every((key) => Buffer.from(key, 'base64').length === 32),
      'must be 32 bytes in base64, or several such keys with commas between: the first seals',
    )
    .optional(),
  /** The identity provider of people who sign in by OpenID Connect, as its discovery document names itself. */
  OIDC_ISSUER: z.url().refine(isIssuer, 'must be an https URL; http only for a provider on this machine').optional(),
  OIDC_CLIENT_ID: z.string().optional(),
  /** Without one the service is a public client. */
  OIDC_CLIENT_SECRET: z.string().optional(),
  /** Name on the button; default: the host of the issuer. */
  OIDC_NAME: z.string().max(60).optional(),
  OIDC_SCOPES: z
    .string()
    .regex(/(?:^|\s)openid(?:\s|$)/, 'must contain openid')
    .default('openid profile email'),
  OIDC_ROLE_CLAIM: z.string().default('groups'),
  OIDC_ROLES: z
    .string()
    .default('{"bellwether-admin":"admin","bellwether-operator":"operator","bellwether-viewer":"viewer"}')
    .transform(readRoles),
  OIDC_DEFAULT_ROLE: z.enum(['none', 'viewer', 'operator']).default('none'),
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
  /** Allows notifications to private addresses and to this machine, and without TLS. */
  ALLOW_PRIVATE_NOTIFICATION_HOSTS: flag(false),
  /** Allows integrations with platforms at private addresses and on this machine, and without TLS. */
  ALLOW_PRIVATE_INTEGRATION_HOSTS: flag(false),
  /** Allows sources whose URL is a path on this machine, for development. */
  ALLOW_LOCAL_SOURCES: flag(false),
  /** false: no integration runs, and their routes answer `integration_disabled`. */
  ENABLE_EXTERNAL_INTEGRATION: flag(true),
  /** Makes a first integration of this kind at the start, with the address and token below. */
  EXTERNAL_PROVIDER: z.enum(['mobivisor']).optional(),
  MOBIVISOR_API_URL: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL such as https://tenant.mobivisor.com' }).optional(),
  MOBIVISOR_API_TOKEN: tokenText({ min: 1, max: 8_192 }).optional(),
  /** The service runs behind the operator's proxy: the last entry of X-Forwarded-For is the client's address. */
  TRUST_PROXY: flag(false),
  /** Requests per second: per token, per device, per source and sender of webhooks, and per address with refused credentials. */
  RATE_LIMIT_TOKEN: requestsPerSecond(500),
  RATE_LIMIT_DEVICE: requestsPerSecond(20),
  RATE_LIMIT_HOOK: requestsPerSecond(50),
  RATE_LIMIT_REFUSED: requestsPerSecond(20),
  /** For tests: the point at which the process kills itself or gets a full disk (faults.ts). */
  BELLWETHER_FAULT: z.string().optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  /** Git operations in flight per git host. */
  GIT_HOST_CONCURRENCY: z.coerce.number().int().min(1).max(256).default(8),
  /** Worker threads that fetch, read and validate. */
  GIT_WORKERS: z.coerce.number().int().min(1).max(32).default(2),
  GIT_TIMEOUT_SECONDS: z.coerce.number().min(1).max(3600).default(60),
});

/** @throws one error that lists every invalid variable and its allowed values */
export function readConfig(env: Record<string, string | undefined>): Config {
  // Secrets from files, and env files from Windows, end in a line end.
  const given = Object.entries(env).map(([name, value]) => [name, withoutLineEnd(value ?? '')] as const);
  const known = Object.fromEntries(given.filter(([, value]) => value !== ''));
  const parsed = Environment.superRefine(checkFirstIntegration).superRefine(checkOidc).safeParse(known);
  const proxies = proxiesOf(known);
  if (parsed.success && typeof proxies !== 'string') return Object.freeze({ ...parsed.data, proxies });
  const faults = (parsed.error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issueText(issue)}`);
  const lines = [...faults, ...(typeof proxies === 'string' ? [proxies] : [])].map((line) => `  ${line}`);
  throw new Error(`Cannot start: the environment is not valid\n${lines.join('\n')}`);
}

/** The first integration is described as a whole, or not at all. */
function checkFirstIntegration(env: z.output<typeof Environment>, c: z.RefinementCtx): void {
  if (!env.ENABLE_EXTERNAL_INTEGRATION || env.EXTERNAL_PROVIDER === undefined) return;
  for (const name of ['MOBIVISOR_API_URL', 'MOBIVISOR_API_TOKEN'] as const)
    if (env[name] === undefined)
      c.addIssue({ code: 'custom', path: [name], message: `is required with EXTERNAL_PROVIDER=${env.EXTERNAL_PROVIDER}` });
}

/** The provider sends browsers to our public address. */
function checkOidc(env: z.output<typeof Environment>, c: z.RefinementCtx): void {
  if (env.OIDC_ISSUER === undefined) return;
  for (const name of ['OIDC_CLIENT_ID', 'PUBLIC_URL'] as const)
    if (env[name] === undefined) c.addIssue({ code: 'custom', path: [name], message: 'is required with OIDC_ISSUER' });
}

/** Reads HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY in upper or lower case. It returns an error as text. */
function proxiesOf(env: Record<string, string>): Proxies | string {
  try {
    return readProxies(env);
  } catch (error) {
    return messageOf(error);
  }
}

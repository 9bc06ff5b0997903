import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { DeviceId, LabelKey, LogLevel } from '../src/wire/agent.ts';
import { DEVICE_ID_RULE, issueText } from '../src/wire/names.ts';
import { messageOf, Problem } from '../src/wire/problem.ts';
import { type Proxies, readProxies } from '../src/wire/proxies.ts';
import { tokenText, withoutLineEnd } from '../src/wire/text/secret-text.ts';

/** Settings from the command line and the environment. A flag wins over its variable. */
export type AgentConfig = Readonly<z.output<typeof Settings>>;

const seconds = (minimum: number, maximum: number) => z.coerce.number().min(minimum).max(maximum);

const Settings = z.object({
  server: z.url({ protocol: /^https?$/, error: 'is missing or not an http(s) URL' }),
  root: z.string({ error: 'is missing' }).min(1),
  enroll: tokenText({ min: 1, max: 200 }).optional(),
  deviceId: DeviceId.optional(),
  apiKey: tokenText({ min: 1, max: 200 }).optional(),
  name: z.string().min(1).max(200).optional(),
  type: z.string().min(1).max(100).optional(),
  labels: z.record(LabelKey, z.string().max(253)).optional(),
  /** Overrides the period that the server asks for. */
  heartbeatSeconds: seconds(1, 86_400).optional(),
  /** How long the server may hold a poll open. */
  waitSeconds: seconds(0, 300).default(55),
  /** First pause before the agent retries a bundle that it could not deliver (disk full, download failed). It doubles up to 15 minutes. */
  retrySeconds: seconds(0.05, 3600).default(60),
  /** Time limit of each hook except the health check, whose bundle names its own. */
  hookTimeoutSeconds: seconds(0.1, 3600).default(60),
  /** Period between two comparisons of `current` with its manifest. The agent checks changes that the file system announces earlier. */
  driftSeconds: seconds(0.1, 86_400).default(600),
  maxBundleBytes: z.coerce
    .number()
    .int()
    .positive()
    .default(1024 * 1024 * 1024),
  logLevel: LogLevel.default('info'),
  /** In tests: the point at which the process dies, as by a power cut. See faults.ts. */
  fault: z.string().optional(),
  /** HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY. */
  proxies: z
    .object({ https: z.string(), http: z.string(), except: z.array(z.string()) })
    .partial({ https: true, http: true })
    .optional(),
});

const FLAGS = {
  server: { type: 'string' },
  root: { type: 'string' },
  enroll: { type: 'string' },
  'device-id': { type: 'string' },
  'api-key': { type: 'string' },
  name: { type: 'string' },
  type: { type: 'string' },
  label: { type: 'string', multiple: true },
  heartbeat: { type: 'string' },
  wait: { type: 'string' },
  'log-level': { type: 'string' },
} as const;

/**
 * Reads `--server URL --root DIR [--enroll TOKEN] [--device-id ID] [--api-key KEY] [--name N] [--type T] [--label k=v]… [--heartbeat S]`
 * and `BELLWETHER_AGENT_*`. Some variables have no flag: `_RETRY_SECONDS`, `_HOOK_TIMEOUT_SECONDS`, `_DRIFT_SECONDS`, `_MAX_BUNDLE_BYTES`.
 * @throws Problem `invalid_config` that names every setting that is wrong
 */
export function readAgentConfig(args: string[], env: Record<string, string | undefined>): AgentConfig {
  const flags = readFlags(args);
  // Env files from Windows and secrets from files may have a line end at the end.
  const setting = (name: string) => withoutLineEnd(env[`BELLWETHER_AGENT_${name}`] ?? '') || undefined;
  const labels = flags.label ?? setting('LABELS')?.split(',');
  return parseAgentConfig({
    server: flags.server ?? setting('SERVER'),
    root: flags.root ?? setting('ROOT'),
    enroll: flags.enroll ?? setting('ENROLL'),
    deviceId: flags['device-id'] ?? setting('DEVICE_ID'),
    apiKey: flags['api-key'] ?? setting('API_KEY'),
    name: flags.name ?? setting('NAME'),
    type: flags.type ?? setting('TYPE'),
    labels: labels && Object.fromEntries(labels.map(splitLabel)),
    heartbeatSeconds: flags.heartbeat ?? setting('HEARTBEAT_SECONDS'),
    waitSeconds: flags.wait ?? setting('WAIT_SECONDS'),
    retrySeconds: setting('RETRY_SECONDS'),
    hookTimeoutSeconds: setting('HOOK_TIMEOUT_SECONDS'),
    driftSeconds: setting('DRIFT_SECONDS'),
    maxBundleBytes: setting('MAX_BUNDLE_BYTES'),
    logLevel: flags['log-level'] ?? setting('LOG_LEVEL'),
    fault: setting('FAULT'),
    proxies: proxiesOf(env),
  });
}

/** For programs that start an agent in their own process. @throws Problem `invalid_config` */
export function parseAgentConfig(settings: unknown): AgentConfig {
  const parsed = Settings.safeParse(settings);
  if (parsed.success) return Object.freeze(parsed.data);
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issueText(issue)}`);
  throw new Problem('invalid_config', `Cannot start the agent: its settings are not valid\n${lines.join('\n')}`);
}

/** This machine's name as a device id, for an enrolment without `--device-id`. */
export function defaultDeviceId(): string {
  return DEVICE_ID_RULE.suggest?.(hostname()) ?? 'device';
}

function proxiesOf(env: Record<string, string | undefined>): Proxies {
  try {
    return readProxies(env);
  } catch (cause) {
    throw new Problem('invalid_config', `Cannot start the agent: ${messageOf(cause)}`, { cause });
  }
}

function readFlags(args: string[]) {
  try {
    return parseArgs({ args, options: FLAGS, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    throw new Problem('invalid_config', `Cannot read the command line: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

function splitLabel(label: string): [string, string] {
  const at = label.indexOf('=');
  return at < 0 ? [label.trim(), ''] : [label.slice(0, at).trim(), label.slice(at + 1).trim()];
}

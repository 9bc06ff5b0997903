import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { DeviceId, PublicKeyJwk } from '../../src/wire/agent.ts';
import { sha256Hex } from '../../src/wire/bundle.ts';
import { messageOf, Problem, retryOf } from '../../src/wire/problem.ts';
import { tokenText } from '../../src/wire/text/secret-text.ts';
import { type AgentConfig, defaultDeviceId } from '../config.ts';
import { isCode, writeDurably } from '../disk/files.ts';
import type { Root } from '../disk/root.ts';
import type { Fault } from '../faults.ts';
import type { Log } from '../log.ts';
import { pauseMs } from '../time/backoff.ts';
import { pause } from '../time/signals.ts';
import type { AgentServer } from './server.ts';

/** The device's identity, and the only keys whose signatures it accepts. It pins them once; the network never changes them. */
export type Identity = z.infer<typeof Identity>;
const Identity = z.object({
  deviceId: DeviceId,
  organizationId: z.string(),
  apiKey: tokenText({ min: 1, max: 200 }),
  signingKeys: z.array(PublicKeyJwk).min(1),
});

/** Identifies a device's key without revealing it. */
export function keyMark({ apiKey }: Pick<Identity, 'apiKey'>): string {
  return sha256Hex(apiKey).slice(0, 16);
}

export type IdentityContext = { config: AgentConfig; server: AgentServer; log: Log; fault: Fault };

/**
 * Reads the identity file, or obtains an identity: by enrolment with a token, or with a device id and key from an operator. A key on the
 * command line replaces the stored one (rotation); the pinned signing keys stay. It retries while the server is unreachable or waits for an
 * operator who admits the device.
 * @throws Problem `not_enrolled`, `identity_mismatch`, or the server's refusal
 */
export async function ensureIdentity(context: IdentityContext, root: Root, signal: AbortSignal): Promise<Identity> {
  const { config, fault } = context;
  const path = root.identity;
  const stored = await readOrSetAside(context, root);
  const fresh = stored === null ? await untilAnswered(context, signal, () => obtain(context, signal)) : withGivenKey(stored, config);
  if (fresh === stored) return fresh;
  fault('before_identity');
  await writeDurably(path, `${JSON.stringify(fresh, null, 2)}\n`, 0o600);
  fault('after_identity');
  return fresh;
}

/** Sets a damaged identity aside if the command line has what the agent needs to obtain another one. */
async function readOrSetAside({ config }: IdentityContext, root: Root): Promise<Identity | null> {
  try {
    return await readIdentity(root.identity);
  } catch (error) {
    const mayAskAgain = config.enroll !== undefined || (config.deviceId !== undefined && config.apiKey !== undefined);
    if (!mayAskAgain || isCode(error, 'EACCES', 'EPERM')) throw error;
    await root.setAside(root.identity, 'the identity file could not be read');
    return null;
  }
}

/** @returns null: the agent has no identity yet. @throws Problem `identity_invalid` */
export async function readIdentity(path: string): Promise<Identity | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null;
    if (isCode(error, 'EISDIR'))
      throw new Problem('identity_invalid', `Cannot read the identity in "${path}": it is a folder; move it away and enrol again`);
    throw error;
  }
  try {
    return Identity.parse(JSON.parse(text));
  } catch (cause) {
    throw new Problem('identity_invalid', `Cannot read the identity in "${path}": remove it and enrol again`, { cause });
  }
}

function withGivenKey(stored: Identity, config: AgentConfig): Identity {
  if (config.deviceId !== undefined && config.deviceId !== stored.deviceId) {
    throw new Problem('identity_mismatch', `Cannot start as "${config.deviceId}": this root belongs to "${stored.deviceId}"`);
  }
  const { apiKey } = config;
  return apiKey === undefined || apiKey === stored.apiKey ? stored : { ...stored, apiKey };
}

async function obtain({ config, server }: IdentityContext, signal: AbortSignal): Promise<Identity> {
  const { deviceId, apiKey } = config;
  if (deviceId !== undefined && apiKey !== undefined) {
    return Identity.parse({ deviceId, apiKey, ...(await server.signingKeys({ deviceId, apiKey }, signal)) });
  }
  if (config.enroll === undefined) {
    throw new Problem('not_enrolled', 'Cannot start the agent: it has no identity yet; give --enroll TOKEN, or --device-id and --api-key');
  }
  const { name, type, labels } = config;
  return Identity.parse(await server.enroll(config.enroll, { deviceId: deviceId ?? defaultDeviceId(), name, type, labels }, signal));
}

/** A device with this id is registered. An operator must admit this one. */
const IS_REGISTERED = 409;

async function untilAnswered<T>({ log }: IdentityContext, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await ask();
    } catch (error) {
      if (signal.aborted || !(error instanceof Problem) || !(retryOf(error) === 'backoff' || error.status === IS_REGISTERED)) throw error;
      log('warn', 'failed to obtain an identity; the next try follows', { error: messageOf(error) });
      await pause(pauseMs(attempt, error.retryAfterSeconds, Math.random()), signal);
      signal.throwIfAborted();
    }
  }
}

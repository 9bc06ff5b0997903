import { createHmac, timingSafeEqual } from 'node:crypto';
import { hashToken, tokenMatches } from '../../../crypto/tokens.ts';
import { Problem } from '../../../errors.ts';
import { isTooDeep, type Json } from '../../../wire/text/json.ts';
import type { HookReader } from '../../provider.ts';
import { pathOf } from './paths.ts';
import type { Hook } from './settings.ts';

const MAX_DEVICES = 1_000;

export function createHook({ proof, deliveryHeader, devices }: Hook): HookReader {
  const path = pathOf(devices);
  return {
    verify: ({ headers, rawBody }, secret) => {
      const given = headers.get(proof.header) ?? '';
      if (proof.kind === 'secret') return given !== '' && tokenMatches(given, hashToken(secret));
      if (!given.startsWith(proof.prefix)) return false;
      const signature = Buffer.from(given.slice(proof.prefix.length), proof.encoding);
      const own = createHmac(proof.algorithm, secret).update(rawBody).digest();
      return signature.length === own.length && timingSafeEqual(signature, own);
    },
    parse: ({ headers, rawBody }) => {
      const ids = path.all(bodyOf(rawBody)).flatMap((id) => (typeof id === 'string' || typeof id === 'number' ? [String(id)] : []));
      return {
        deliveryId: deliveryHeader === undefined ? null : headers.get(deliveryHeader),
        devices: [...new Set(ids)].slice(0, MAX_DEVICES).map((externalId) => ({ externalId, seenAt: null })),
      };
    },
  };
}

/** @throws Problem `hook_malformed` */
function bodyOf(rawBody: Uint8Array): Json {
  const text = Buffer.from(rawBody).toString('utf8');
  try {
    if (isTooDeep(text)) throw new SyntaxError('it is nested too deeply');
    return JSON.parse(text) as Json;
  } catch (cause) {
    throw new Problem('hook_malformed', 'Cannot read the hook: its body is no JSON', { cause });
  }
}

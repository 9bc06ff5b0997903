import { judgeAge, verifyHmac } from '../../../crypto/signature.ts';
import { equalInConstantTime } from '../../../crypto/tokens.ts';
import { Problem } from '../../../errors.ts';
import { isTooDeep, type Json } from '../../../wire/text/json.ts';
import type { HookReader, HookRequest } from '../../provider.ts';
import { idOf } from './devices.ts';
import { pathOf } from './paths.ts';
import type { Hook } from './settings.ts';

const MAX_DEVICES = 1_000;

export function createHook({ proof, deliveryHeader, devices }: Hook): HookReader {
  const path = pathOf(devices);
  return {
    verify: ({ headers, rawBody }, secret) => {
      const given = headers.get(proof.header) ?? '';
      if (given === '' || secret === '') return false;
      if (proof.kind === 'secret') return equalInConstantTime(given, proof.prefix + secret);
      return isSigned({ headers, rawBody }, secret, given, proof);
    },
    parse: ({ headers, rawBody }) => {
      const ids = path.all(bodyOf(rawBody)).flatMap((id) => idOf(id) ?? []);
      return {
        // An empty header names nothing: its hooks would all be the same one.
        deliveryId: (deliveryHeader === undefined ? null : headers.get(deliveryHeader)?.trim()) || null,
        devices: [...new Set(ids)].slice(0, MAX_DEVICES).map((externalId) => ({ externalId, seenAt: null })),
      };
    },
  };
}

function isSigned(
  { headers, rawBody }: HookRequest,
  secret: string,
  given: string,
  proof: Extract<Hook['proof'], { kind: 'hmac' }>,
): boolean {
  if (!given.startsWith(proof.prefix)) return false;
  const rest = given.slice(proof.prefix.length);
  const signature = proof.encoding === 'hex' ? rest.toLowerCase() : rest;
  const form = { algorithm: proof.algorithm, encoding: proof.encoding, prefix: '' };
  if (proof.timestamp === undefined) return verifyHmac([rawBody], secret, signature, form).ok;
  const { header, before, after, toleranceSeconds } = proof.timestamp;
  const at = headers.get(header) ?? '';
  if (!/^\d{1,12}$/.test(at) || !verifyHmac([before, at, after, rawBody], secret, signature, form).ok) return false;
  return judgeAge(new Date(), at, toleranceSeconds, 'hmac').ok;
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

import { hashToken, tokenMatches } from '../../../crypto/tokens.ts';
import { Problem } from '../../../errors.ts';
import type { HookReader } from '../../provider.ts';

/**
 * Webhooks of a pipeline: the raw message of a device, without signature, delivery id or promise of a retry. A secret header, which the operator sets
 * in the pipeline, authenticates them.
 */
export const hook: HookReader = {
  verify: ({ headers }, secret) => {
    const bearer = /^Bearer (.+)$/i.exec(headers.get('authorization') ?? '')?.[1];
    return secret !== '' && tokenMatches(headers.get('x-bellwether-secret') ?? bearer ?? '', hashToken(secret));
  },
  parse: ({ headers }) => {
    const externalId = headers.get('ce-source');
    if (externalId === null || externalId === '')
      throw new Problem('hook_malformed', 'Cannot read the hook: the header Ce-Source, which names the device, is missing');
    return { deliveryId: null, devices: [{ externalId, seenAt: new Date() }] };
  },
};

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { signStandardWebhooks } from '../../../crypto/signature.ts';
import { isProblem } from '../../../errors.ts';
import { type Json, JsonValue } from '../../../wire/text/json.ts';
import type { VendorAnswer, VendorApi } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';
import type { Push, PushConfiguration, PushTarget } from '../../provider.ts';
import { contentsOf } from '../bundle.ts';

const ASK_AGAIN_SECONDS = 2;

const Wanted = z.object({
  digest: z.string(),
  document: JsonValue.optional(),
  files: z.array(z.object({ path: z.string(), content: z.string() })).optional(),
});

/** The gateway's answer about a device. `token`: of the configuration that it took last. */
const Shown = z.object({
  status: z.enum(['running', 'applying', 'failed']),
  digest: z.string().nullish(),
  token: z.string().nullish(),
  detail: z.string().max(4_000).optional(),
});

/**
 * Posts `{deviceId, digest, document | files}` to `<path>/check`, and then the same with a `token` to the path, which the gateway holds on trial until `{confirm: token}`; `{cancel: token}` puts back what the
 * device had. A GET shows `{status, digest, token}`. All requests are signed by Standard Webhooks, a GET over an empty body.
 */
export function createPush(api: VendorApi, path: string, secret: string): Push {
  const call = (target: PushTarget, doing: string, body: Json | undefined, signal: AbortSignal, below = ''): Promise<VendorAnswer> => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = signStandardWebhooks([secret], randomUUID(), new Date(), text);
    const to = path.replaceAll('{id}', encodeURIComponent(target.externalId)) + below;
    return api.send({ doing, method: body === undefined ? 'GET' : 'POST', path: to, body, headers, isIdempotent: true, signal });
  };
  const shown = async (target: PushTarget, signal: AbortSignal) => {
    const answer = await call(target, 'read what the device runs', undefined, signal).catch((error: unknown) => {
      if (isProblem(error, 'integration_not_found')) return undefined;
      throw error;
    });
    if (answer === undefined) return undefined;
    const parsed = Shown.safeParse(answer.body);
    if (parsed.success) return parsed.data;
    const { path: where, message } = parsed.error.issues[0] ?? { path: [], message: '' };
    throw integrationProblem(
      'integration_protocol',
      `Cannot read what the device runs: "${where.join('.')}" of the answer is not as expected: ${message}`,
    );
  };
  return {
    prepare: async (target, configuration, signal) => {
      const desired = await wantedOf(configuration);
      await call(target, 'check the configuration', { deviceId: target.deviceId, ...Wanted.parse(desired) } as Json, signal, '/check');
      const present = await shown(target, signal);
      const previous = present?.digest ?? null;
      return { desired, previous, isUnchanged: present?.status === 'running' && previous === configuration.digest };
    },
    apply: async (target, { desired }, token, signal) => {
      await call(target, 'post the configuration', { deviceId: target.deviceId, token, ...Wanted.parse(desired) } as Json, signal);
      return { token };
    },
    verify: async (target, { desired }, _receipt, token, signal) => {
      const present = await shown(target, signal);
      const pending = (reason: string) => ({ is: 'pending', reason, afterSeconds: ASK_AGAIN_SECONDS }) as const;
      if (present?.token !== token) return pending('the gateway does not show the new configuration yet');
      if (present.status === 'failed') return { is: 'refused', reason: present.detail ?? 'the gateway names no reason' };
      if (present.status === 'applying') return pending('the device applies the new configuration');
      if (present.digest === Wanted.parse(desired).digest) return { is: 'verified' };
      return { is: 'refused', reason: `the device runs "${String(present.digest)}"` };
    },
    confirm: async (target, _prepared, receipt, signal) => {
      await call(target, 'confirm the configuration', { confirm: z.object({ token: z.string() }).parse(receipt).token }, signal);
    },
    cancel: async (target, _prepared, receipt, signal) => {
      // Without a receipt nobody knows whether the configuration arrived: the gateway then names the token that it took last.
      const token = z.object({ token: z.string() }).safeParse(receipt).data?.token ?? (await shown(target, signal))?.token;
      if (token != null) await call(target, 'cancel the configuration', { cancel: token }, signal);
    },
  };
}

async function wantedOf(configuration: PushConfiguration): Promise<Json> {
  const { digest, document } = configuration;
  return document === undefined ? { digest, files: await contentsOf(configuration) } : { digest, document };
}

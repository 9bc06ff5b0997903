import { isProblem } from '../../../errors.ts';
import type { Json } from '../../../wire/text/json.ts';
import type { VendorApi } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';
import type { Push } from '../../provider.ts';
import { filled, pathOf } from './paths.ts';
import type { Description } from './settings.ts';

type Configuration = NonNullable<Description['configuration']>;

const ASK_AGAIN_SECONDS = 5;

/** Writes the document of the bundle, and reads it back where the platform shows it. */
export function createPush(api: VendorApi, { write, check, read }: Configuration): Push {
  const shown = async (id: string, signal: AbortSignal): Promise<Json> => {
    if (read === undefined) return null;
    const call = { doing: 'read the configuration of the device', method: 'GET', path: filled(read.path, { id }), signal } as const;
    const answer = await api.send(call).catch((error: unknown) => {
      if (isProblem(error, 'integration_not_found')) return undefined;
      throw error;
    });
    return pathOf(read.item).first(answer?.body ?? null) ?? null;
  };
  const put = (id: string, body: Json, signal: AbortSignal) =>
    api.send({
      doing: 'write the configuration of the device',
      method: write.method,
      path: filled(write.path, { id }),
      body,
      isIdempotent: true,
      signal,
    });
  return {
    prepare: async ({ externalId }, { document }, signal) => {
      if (document === undefined)
        throw integrationProblem('integration_rejected', 'Cannot configure the device: its bundle has no rest.yaml, rest.yml or rest.json');
      if (check !== undefined)
        await api.send({
          ...{ doing: 'check the configuration of the device', method: check.method, path: filled(check.path, { id: externalId }) },
          ...{ body: document, isIdempotent: true, signal },
        });
      const previous = await shown(externalId, signal);
      return { desired: document, previous, isUnchanged: read !== undefined && contains(previous, document) };
    },
    apply: async ({ externalId }, { desired }, _token, signal) => {
      await put(externalId, desired, signal);
      return {};
    },
    verify: async ({ externalId }, { desired }, _receipt, _token, signal) => {
      if (read === undefined)
        return { is: 'unverified', reason: 'the platform took the configuration, and the settings name no call that shows it' };
      if (contains(await shown(externalId, signal), desired)) return { is: 'verified' };
      return { is: 'pending', reason: 'the platform does not show the new configuration yet', afterSeconds: ASK_AGAIN_SECONDS };
    },
    cancel: async ({ externalId }, { previous }, _receipt, signal) => {
      if (previous !== null) await put(externalId, previous, signal);
      else throw integrationProblem('integration_unsupported', 'Cannot put back the earlier configuration: the platform does not show it');
    },
  };
}

/** Platforms add members of their own: all that is wanted must be there, as it is wanted. */
export function contains(shown: Json, wanted: Json): boolean {
  if (typeof wanted !== 'object' || wanted === null) return shown === wanted;
  if (typeof shown !== 'object' || shown === null || Array.isArray(shown) !== Array.isArray(wanted)) return false;
  if (Array.isArray(wanted))
    return Array.isArray(shown) && shown.length === wanted.length && wanted.every((one, at) => contains(shown[at] ?? null, one));
  return Object.entries(wanted).every(
    ([key, value]) => Object.hasOwn(shown, key) && contains((shown as { [key: string]: Json })[key] ?? null, value),
  );
}

import { isProblem } from '../../../errors.ts';
import type { Json } from '../../../wire/text/json.ts';
import type { VendorApi } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';
import type { Push, PushConfiguration } from '../../provider.ts';
import { contentsOf } from '../bundle.ts';
import { filled, pathOf, placed } from './paths.ts';
import type { Description } from './settings.ts';

type Configuration = NonNullable<Description['configuration']>;

const ASK_AGAIN_SECONDS = 5;

/** Writes the document of the bundle, or the bundle, and reads it back where the platform shows it. */
export function createPush(api: VendorApi, { sends, pointer, write, check, read }: Configuration): Push {
  const bodyOf = (value: Json) => (pointer === undefined ? value : placed([[pointer, value]]));
  // The digest stands for all files: few platforms show them.
  const proofOf = (desired: Json) => (sends === 'bundle' ? { digest: (desired as { digest: string }).digest } : desired);
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
      body: bodyOf(body),
      isIdempotent: true,
      signal,
    });
  return {
    prepare: async ({ externalId }, configuration, signal) => {
      const desired = await desiredOf(sends, configuration);
      if (check !== undefined)
        await api.send({
          ...{ doing: 'check the configuration of the device', method: check.method, path: filled(check.path, { id: externalId }) },
          ...{ body: bodyOf(desired), isIdempotent: true, signal },
        });
      const previous = await shown(externalId, signal);
      return { desired, previous, isUnchanged: read !== undefined && contains(previous, proofOf(desired)) };
    },
    apply: async ({ externalId }, { desired }, _token, signal) => {
      await put(externalId, desired, signal);
      return {};
    },
    verify: async ({ externalId }, { desired }, _receipt, _token, signal) => {
      if (read === undefined)
        return { is: 'unverified', reason: 'the platform took the configuration, and the settings name no call that shows it' };
      if (contains(await shown(externalId, signal), proofOf(desired))) return { is: 'verified' };
      return { is: 'pending', reason: 'the platform does not show the new configuration yet', afterSeconds: ASK_AGAIN_SECONDS };
    },
    cancel: async ({ externalId }, { previous }, _receipt, signal) => {
      const isWhole = sends === 'document' || (typeof previous === 'object' && previous !== null && 'files' in previous);
      if (previous !== null && isWhole) await put(externalId, previous, signal);
      else throw integrationProblem('integration_unsupported', 'Cannot put back the earlier configuration: the platform does not show it');
    },
  };
}

async function desiredOf(sends: Configuration['sends'], configuration: PushConfiguration): Promise<Json> {
  const { digest, document } = configuration;
  if (sends === 'bundle') return { digest, files: await contentsOf(configuration) };
  if (document !== undefined) return document;
  throw integrationProblem('integration_rejected', 'Cannot configure the device: its bundle has no rest.yaml, rest.yml or rest.json');
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

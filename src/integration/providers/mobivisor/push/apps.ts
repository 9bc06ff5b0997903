import { isDeepStrictEqual } from 'node:util';
import { isProblem } from '../../../../errors.ts';
import type { Json } from '../../../../wire/text/json.ts';
import type { VendorApi } from '../../../api.ts';
import { integrationProblem } from '../../../problems.ts';
import { type Fields, isFields, pathOf, readObject } from '../answers.ts';

/** Managed configuration of an app. It is part of the app object, and the platform takes the whole object only. */

/** Somebody else may write between our reading and our writing. */
const TRIES = 3;
/** Whether the object was written shows when it is read again. */
const UNDECIDED = ['integration_conflict', 'integration_timeout', 'integration_unreachable', 'integration_server_error'] as const;

/** @returns the entries, none where the object has none @throws Problem `integration_not_found` */
export async function readManagedConfig(api: VendorApi, id: string, signal: AbortSignal): Promise<Json[]> {
  const { app } = await readApp(api, id, signal);
  return entriesOf(app);
}

/**
 * Reads the app, changes its entries, writes the whole object with its version, and reads it back. All other members stay as they were read.
 * @param change gives the same result when it is applied twice
 * @throws Problem `integration_conflict` when somebody else changed the app in between each time
 */
export async function changeManagedConfig(
  api: VendorApi,
  id: string,
  change: (entries: readonly Json[]) => Json[],
  signal: AbortSignal,
): Promise<void> {
  for (let tried = 0; ; tried += 1) {
    const { app, isWrapped } = await readApp(api, id, signal);
    const entries = entriesOf(app);
    const next = change(entries);
    if (isDeepStrictEqual(next, entries)) return;
    if (tried === TRIES)
      throw integrationProblem(
        'integration_conflict',
        `Cannot change the managed configuration of app "${id}": ${TRIES} writes had no effect, as others write the app at the same time`,
      );
    const changed = { ...app, managedConfig: next };
    const call = { doing: `change the managed configuration of app "${id}"`, method: 'PUT', path: pathOf`/mobileapps/${id}` } as const;
    try {
      // The object itself is not sent again: after a conflict, or a lost answer, it is read again first.
      await api.send({ ...call, body: isWrapped ? { app: changed } : changed, isIdempotent: false, signal });
    } catch (error) {
      if (!isProblem(error, ...UNDECIDED)) throw error;
    }
  }
}

async function readApp(api: VendorApi, id: string, signal: AbortSignal): Promise<{ app: Fields; isWrapped: boolean }> {
  const body = await readObject(api, { doing: `read app "${id}"`, method: 'GET', path: pathOf`/mobileapps/${id}`, signal });
  const isWrapped = isFields(body.app);
  const app = isFields(body.app) ? body.app : body;
  // To write an object that was not read whole would erase the rest of the app.
  if (app._id !== id)
    throw integrationProblem('integration_protocol', `Cannot read app "${id}": the answer is no app object with this "_id"`);
  return { app, isWrapped };
}

function entriesOf({ managedConfig }: Fields): Json[] {
  return Array.isArray(managedConfig) ? managedConfig : [];
}

/** Sets the values by their keys; null removes an entry. Entries of other keys stay, and so do further members of an entry. */
export function withValues(entries: readonly Json[], values: Readonly<Record<string, Json>>): Json[] {
  const kept = entries.flatMap((entry) => {
    const key = keyOf(entry);
    if (key === undefined || !Object.hasOwn(values, key)) return [entry];
    const value = values[key] ?? null;
    return value === null ? [] : [{ ...(entry as Fields), value }];
  });
  const there = new Set(kept.map(keyOf));
  const added = Object.entries(values).filter(([key, value]) => value !== null && !there.has(key));
  return [...kept, ...added.map(([key, value]) => ({ key, value }))];
}

/** Puts the entries of these keys back as they were. */
export function withEntries(entries: readonly Json[], before: readonly Json[], keys: readonly string[]): Json[] {
  const old = new Map(before.map((entry) => [keyOf(entry), entry]));
  const kept = entries.flatMap((entry) => {
    const key = keyOf(entry);
    if (key === undefined || !keys.includes(key)) return [entry];
    const earlier = old.get(key);
    return earlier === undefined ? [] : [earlier];
  });
  const there = new Set(kept.map(keyOf));
  return [...kept, ...keys.flatMap((key) => (old.has(key) && !there.has(key) ? [old.get(key) as Json] : []))];
}

function keyOf(entry: Json): string | undefined {
  return isFields(entry) && typeof entry.key === 'string' ? entry.key : undefined;
}

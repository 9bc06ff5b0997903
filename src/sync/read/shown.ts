import { hash } from 'node:crypto';
import type { RemoteDevice } from '../../integration/provider.ts';
import { storableJson } from '../../wire/text/text.ts';

/** A device of a page, with the hash of all that is stored of it but its liveness, which changes with every report. */
export type Shown = { device: RemoteDevice; hash: string };

/** Pages that shift may show a device twice: the later one counts. Texts that the database cannot hold are replaced. */
export function shownOf(devices: readonly RemoteDevice[]): Shown[] {
  const shown = new Map<string, Shown>();
  for (const device of devices) shown.set(device.externalId, hashed(device));
  return [...shown.values()];
}

function hashed(device: RemoteDevice): Shown {
  const { externalId, identities, values, state, verdict, details } = device;
  const text = JSON.stringify([externalId, identities, values, state, verdict, details]);
  const storable = cleaned(text);
  if (storable === text) return { device, hash: hash('sha256', text, 'base64url') };
  const [id, ids, clean, cleanState, cleanVerdict, cleanDetails] = JSON.parse(storable);
  const stored = { externalId: id, identities: ids, values: clean, state: cleanState ?? undefined, details: cleanDetails };
  const verdictAt = cleanVerdict && { ...cleanVerdict, at: verdict?.at ?? null };
  return { device: { ...device, ...stored, verdict: verdictAt ?? undefined }, hash: hash('sha256', storable, 'base64url') };
}

/** The replacement reads the whole text: most have nothing to replace. */
function cleaned(text: string): string {
  return /\\u(?:0000|d[89a-f])/i.test(text) ? storableJson(text) : text;
}

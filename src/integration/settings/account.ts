import type { z } from 'zod';
import { invalid } from '../../errors.ts';
import { issueText } from '../../wire/names.ts';
import type { FieldError } from '../../wire/problem.ts';
import type { Json } from '../../wire/text/json.ts';
import type { Provider } from '../provider.ts';

export type CheckedAccount = { settings: Record<string, Json>; credentials: Record<string, Json> };

/**
 * Checks settings and credentials by the provider's schemas. Unknown names are refused: a misspelt setting would have no effect.
 * @throws Problem `invalid_request` with pointers that begin with `/settings` or `/credentials`
 */
export function checkAccount(provider: Provider, given: { settings: unknown; credentials: unknown }): CheckedAccount {
  const settings = provider.settings.strict().safeParse(given.settings);
  const credentials = provider.credentials.strict().safeParse(given.credentials);
  const errors = [...fieldErrors('/settings', settings.error), ...fieldErrors('/credentials', credentials.error)];
  if (errors.length > 0) {
    const list = errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
    throw invalid(`Cannot use these settings for type "${provider.kind}": ${list}`, errors);
  }
  return { settings: asJson(settings.data), credentials: asJson(credentials.data) };
}

function fieldErrors(where: string, error: z.ZodError | undefined): FieldError[] {
  return (error?.issues ?? []).map((issue) => ({ pointer: [where, ...issue.path.map(escaped)].join('/'), detail: issueText(issue) }));
}

function escaped(segment: PropertyKey): string {
  return String(segment).replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Leaves out optional values that are not given. */
function asJson(parsed: unknown): Record<string, Json> {
  return JSON.parse(JSON.stringify(parsed));
}

/**
 * Whether the settings name an origin that the earlier ones do not. Stored credentials must not be sent there: whoever may change settings could read
 * the credentials on a server of their own.
 */
export function namesNewOrigin(before: Readonly<Record<string, Json>>, after: Readonly<Record<string, Json>>): boolean {
  const known = new Set(originsIn(before));
  return originsIn(after).some((origin) => !known.has(origin));
}

function originsIn(value: Json): string[] {
  if (typeof value === 'string') {
    const url = URL.parse(value);
    // Other schemes, such as mqtts, have the origin "null".
    return url === null || url.host === '' ? [] : [`${url.protocol}//${url.host}`];
  }
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(originsIn) : [];
}

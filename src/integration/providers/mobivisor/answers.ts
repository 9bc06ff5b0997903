import { z } from 'zod';
import type { Json } from '../../../wire/text/json.ts';
import type { VendorApi, VendorCall } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';

/** Answers of Mobivisor may be JSON, a bare JSON string, plain text, or empty, on every call. */

export type Fields = { [key: string]: Json };

/** Reads an object. An empty answer counts as `{}`. @throws Problem `integration_protocol` */
export async function readObject(api: VendorApi, call: VendorCall): Promise<Fields> {
  const { body } = await api.send(call);
  if (body === undefined) return {};
  if (isFields(body)) return body;
  throw integrationProblem('integration_protocol', `Cannot ${call.doing}: the answer is no JSON object`);
}

/**
 * Reads a list that stands bare or under `name`.
 * @param mayBeEmpty an empty answer counts as an empty list
 * @throws Problem `integration_protocol`
 */
export async function readList(api: VendorApi, call: VendorCall, name: string, mayBeEmpty = true): Promise<Fields[]> {
  const { body } = await api.send(call);
  const list = isFields(body) ? body[name] : (body ?? (mayBeEmpty ? [] : undefined));
  if (Array.isArray(list)) return list.filter(isFields);
  throw integrationProblem('integration_protocol', `Cannot ${call.doing}: the answer is no list, bare or under "${name}"`);
}

export function isFields(value: Json | undefined): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A larger number lost digits when it was parsed, and would stand for several devices. */
const Id = z.union([z.string().min(1), z.int().transform(String)]);

/** The id of a record, under `_id` or `id`; undefined without one. */
export function idOf(record: Fields): string | undefined {
  return Id.safeParse(record._id).data ?? Id.safeParse(record.id).data;
}

/** A path of the API, whose ids are escaped. */
export function pathOf(parts: TemplateStringsArray, ...ids: readonly string[]): string {
  return parts.map((part, index) => part + (ids[index] === undefined ? '' : encodeURIComponent(ids[index]))).join('');
}

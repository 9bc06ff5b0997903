import { z } from 'zod';
import { isProblem } from '../../../errors.ts';
import type { Json } from '../../../wire/text/json.ts';
import type { VendorApi, VendorCall } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';

/** Reads answers of the API leniently: optional members are left out where they are not set, and more may appear. */
export type Golioth = {
  api: VendorApi;
  projectId: string;
  /** Sends a call and checks the shape of its answer. @throws Problem `integration_protocol` */
  read<T>(call: VendorCall, shape: z.ZodType<T>): Promise<T>;
  /** Id of the project's organization, which a part of the API has in its paths. Asked once. */
  organization(signal: AbortSignal): Promise<string>;
};

const Project = z.object({ data: z.object({ id: z.string(), name: z.string().optional(), organizationId: z.string() }) });

/** Lists have at most 100 items a page. */
export const PER_PAGE = 100;

export const listOf = <T extends z.ZodType>(item: T) => z.object({ list: z.array(item), total: z.number().int().optional() });

export function createGolioth(api: VendorApi, projectId: string): Golioth {
  let organization: string | undefined;
  const read = async <T>(call: VendorCall, shape: z.ZodType<T>): Promise<T> => {
    const parsed = shape.safeParse((await api.send(call)).body);
    if (parsed.success) return parsed.data;
    const { path, message } = parsed.error.issues[0] ?? { path: [], message: '' };
    throw integrationProblem(
      'integration_protocol',
      `Cannot ${call.doing}: "${path.join('.')}" of the answer is not as expected: ${message}`,
    );
  };
  return {
    ...{ api, projectId, read },
    organization: async (signal) => {
      organization ??= (await readProject({ read, projectId }, signal)).organizationId;
      return organization;
    },
  };
}

export async function readProject({ read, projectId }: Pick<Golioth, 'read' | 'projectId'>, signal: AbortSignal) {
  const path = `/projects/${encodeURIComponent(projectId)}`;
  return (await read({ doing: 'read the project', method: 'GET', path, signal }, Project)).data;
}

/** Path below the project. Each id is escaped. */
export function projectPath({ projectId }: Golioth, ...parts: readonly string[]): string {
  return ['/projects', projectId, ...parts].map((part, at) => (at === 0 ? part : encodeURIComponent(part))).join('/');
}

/** Path below the project in its organization. */
export async function organizationPath(golioth: Golioth, signal: AbortSignal, ...parts: readonly string[]): Promise<string> {
  const organizationId = await golioth.organization(signal);
  return ['/organizations', organizationId, 'projects', golioth.projectId, ...parts]
    .map((part, at) => (at === 0 ? part : encodeURIComponent(part)))
    .join('/');
}

/** Returns `value` where the platform says that the thing does not exist. */
export function unlessMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isProblem(error, 'integration_not_found')) return value;
    throw error;
  };
}

export function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

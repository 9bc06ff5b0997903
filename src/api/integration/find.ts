import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Db } from '../../db/connect.ts';
import { notFound } from '../../errors.ts';
import { checkIfMatch } from '../../http/kit.ts';
import type { Integration } from '../../integration/integration.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import { switchedOff } from '../../integration/problems.ts';
import { integrationOf, lockIntegration } from '../../integration/store/services.ts';
import { createApi, type Env } from '../env.ts';

/** @param slugOrId such as `golioth_2`, or the UUID @throws Problem `not_found`, also for an integration of another organization */
export async function findIntegration(sql: Db, organizationId: string, slugOrId: string): Promise<Integration> {
  const integration = await integrationOf(sql, organizationId, slugOrId);
  if (integration === undefined) throw notFound('integration', slugOrId);
  return integration;
}

/** Locks the row until the transaction ends. @throws Problem `not_found` */
export async function lockFound(tx: Db, organizationId: string, slugOrId: string): Promise<Integration> {
  const integration = await lockIntegration(tx, organizationId, slugOrId);
  if (integration === undefined) throw notFound('integration', slugOrId);
  return integration;
}

/** As `lockFound`, for the version that the request names. @throws Problem `not_found`, `version_mismatch` */
export async function lockMatching(c: Context<Env>, tx: Db, organizationId: string, slugOrId: string): Promise<Integration> {
  const integration = await lockFound(tx, organizationId, slugOrId);
  checkIfMatch(c, integration.version);
  return integration;
}

const PATHS = ['/integrations', '/conflicts', '/profile/integrations'].flatMap((path) => [path, `${path}/*`]);
const ACTIONS = ['/integrations:sync-all', '/conflicts:resolve'];

/** A group of routes that answer `integration_disabled` while the service runs without integrations. */
export function apiOf({ platforms }: { platforms: Pick<PlatformDeps, 'isOff'> }): OpenAPIHono<Env> {
  const api = createApi();
  for (const path of [...PATHS, ...ACTIONS])
    api.use(path, async (_c, next) => {
      if (platforms.isOff) throw switchedOff();
      await next();
    });
  return api;
}

import { OpenAPIHono, type OpenAPIRoute, type RouteConfig } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import type { Caller } from '../audit/audited.ts';
import { Problem } from '../errors.ts';
import { type KitEnv, problemResponse } from '../http/kit.ts';
import { type Actor, mayActAs, type Role } from '../organization/organization.ts';
import type { OpenSession } from '../session/session.ts';
import { issueText } from '../wire/names.ts';

/** The context of every handler. */
export type Env = {
  Bindings: KitEnv['Bindings'];
  Variables: KitEnv['Variables'] & {
    actor: Actor;
    /** Set for a request with the session cookie. */
    session: OpenSession | undefined;
    device: { organizationId: string; deviceId: string };
  };
};

/** A group of routes whose requests are parsed by the same zod schemas that the OpenAPI document is made of. */
export function createApi(): OpenAPIHono<Env> {
  return new OpenAPIHono<Env>({
    defaultHook: (result, c) => {
      if (result.success) return undefined;
      const where = result.target === 'json' ? '' : `/${result.target}`;
      const errors = result.error.issues.map((issue) => ({
        pointer: `${where}/${issue.path.map(escapePointer).join('/')}`.replace(/\/$/, ''),
        detail: issueText(issue),
      }));
      return problemResponse(
        c,
        new Problem('invalid_request', `Cannot accept the request: ${errors.map((e) => `${e.pointer || '/'} ${e.detail}`).join('; ')}`, {
          errors,
        }),
      );
    },
  });
}

function escapePointer(segment: PropertyKey): string {
  return String(segment).replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Returns the sender of the request, for the audit log. */
export function callerOf(c: Context<Env>): Caller {
  return { actor: c.get('actor'), requestId: c.get('requestId') };
}

/** Refuses actors below `needed`. In each operation's `middleware`. */
export function role(needed: Role): MiddlewareHandler<Env> {
  return async (c, next) => {
    const actor = c.get('actor');
    if (!mayActAs(actor.role, needed)) {
      throw new Problem(
        'forbidden',
        `Cannot ${c.req.method} ${c.req.path}: the ${actor.kind} has role "${actor.role}", must have "${needed}"`,
      );
    }
    await next();
  };
}

/** An operation of the API: its route, and the handler that answers it. */
export type Operation = (api: OpenAPIHono<Env>) => void;

/** Ties a handler to its route: it gets what the route's schemas parsed, and may answer only what the route declares. */
export function operation<R extends RouteConfig>(route: R, handler: OpenAPIRoute<R, Env>['handler']): Operation {
  return (api) => {
    api.openapiRoutes([{ route, handler }]);
  };
}

/** A group of operations, in their order: the first one whose path matches answers a request. */
export function mount(...operations: readonly Operation[]): OpenAPIHono<Env> {
  return mountOn(createApi(), ...operations);
}

/** As `mount`, on a group that already has middleware. */
export function mountOn(api: OpenAPIHono<Env>, ...operations: readonly Operation[]): OpenAPIHono<Env> {
  for (const add of operations) add(api);
  return api;
}

import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Env } from './env.ts';
import { documentOf } from './openapi.ts';
import { createServer } from './server.ts';
import type { Services } from './services.ts';

/** Describes the API without a running service: programs and the dashboard's build read it. Operations are mounted, and none is called. */
export function describeApi(): ReturnType<OpenAPIHono<Env>['getOpenAPI31Document']> {
  return documentOf(createServer(ABSENT as Services));
}

/** Stands for every part of the service while operations are mounted. */
const ABSENT: unknown = new Proxy(() => undefined, {
  get: (_target, name) => (name === Symbol.iterator ? [][Symbol.iterator] : name === Symbol.toPrimitive ? () => '' : ABSENT),
  apply: () => ABSENT,
});

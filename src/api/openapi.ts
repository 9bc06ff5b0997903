import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Config } from '../config.ts';
import { forwardedPrefix } from '../http/base-path.ts';
import { SESSION_COOKIE } from '../http/browser.ts';
import { body, json, problems } from '../http/kit.ts';
import { INTEGRATION_STATES } from '../integration/runs/state.ts';
import { EnrollRequest, EnrollResponse, ReportsRequest, ReportsResponse, SigningKeysResponse, TimeResponse } from '../wire/agent.ts';
import { Digest } from '../wire/bundle.ts';
import type { Env } from './env.ts';

type Route = Parameters<OpenAPIHono<Env>['openAPIRegistry']['registerPath']>[0];

/** `GET /openapi.json`: every operation of the service. Last of all routes: it describes those that are mounted before it. */
export function serveDescription(app: OpenAPIHono<Env>, config: Pick<Config, 'PUBLIC_URL' | 'TRUST_PROXY'>): void {
  const { openAPIRegistry: registry } = app;
  for (const route of [...agentOperations(), ...hookOperations(), ...healthOperations()]) registry.registerPath(route);
  for (const [name, scheme] of Object.entries(SECURITY_SCHEMES)) registry.registerComponent('securitySchemes', name, scheme);
  let written: string | undefined;
  app.get('/openapi.json', (c) => {
    // The rest never changes, and is too expensive to generate for every stranger.
    written ??= JSON.stringify(documentOf(app)).slice(1);
    const servers = JSON.stringify([{ url: serverUrl(c.req.header('x-forwarded-prefix'), config) }]);
    return c.body(`{"servers":${servers},${written}`, 200, { 'content-type': 'application/json' });
  });
}

/** The description of all operations, without the address of a server. */
export function documentOf(app: OpenAPIHono<Env>): ReturnType<OpenAPIHono<Env>['getOpenAPI31Document']> {
  return app.getOpenAPI31Document(ABOUT);
}

/** `.` is relative to the document's own address: right behind every proxy, whatever its prefix. */
function serverUrl(header: string | undefined, config: Pick<Config, 'PUBLIC_URL' | 'TRUST_PROXY'>): string {
  return config.PUBLIC_URL ?? ((config.TRUST_PROXY ? forwardedPrefix(header) : '') || '.');
}

/** One of these: a token or a session. */
const OPERATOR: Record<string, string[]>[] = [{ bearer: [] }, { session: [] }];

const ABOUT = {
  openapi: '3.1.0',
  info: { title: 'Bellwether', version: '1', description: 'GitOps for device fleets' },
  security: OPERATOR,
};

const SECURITY_SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer' },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: SESSION_COOKIE,
    description: 'POST /api/v1/session sets it, by https with the prefix `__Host-`. Changes need X-CSRF-Token too',
  },
  rootToken: { type: 'http', scheme: 'bearer', description: 'BELLWETHER_ROOT_TOKEN, or the token in DATA_DIR/root-token' },
  enrolmentToken: { type: 'http', scheme: 'bearer', description: 'A token of POST /api/v1/enrolment-tokens' },
  deviceId: { type: 'apiKey', in: 'header', name: 'X-Device-ID' },
  deviceKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
} as const;

/** No security scheme: the path itself is proof, or is public. */
const open: Route['security'] = [];

/** These routes parse by themselves, because they are hot or take raw bytes. Here they are only described. */
function agentOperations(): Route[] {
  const tags = ['Devices that pull'];
  const security = [{ deviceId: [], deviceKey: [] }];
  const bytes = { 'application/x-tar': { schema: z.string().openapi({ format: 'binary' }) } };
  return [
    {
      method: 'post',
      path: '/agent/v1/enroll',
      tags,
      security: [{ enrolmentToken: [] }],
      request: { body: body(EnrollRequest) },
      responses: { 201: json(EnrollResponse, 'Registered; the key is shown only once'), ...problems },
    },
    {
      method: 'get',
      path: '/agent/v1/time',
      tags,
      security: open,
      responses: { 200: json(TimeResponse, 'For devices without a clock'), ...problems },
    },
    {
      method: 'get',
      path: '/agent/v1/keys',
      tags,
      security,
      responses: { 200: json(SigningKeysResponse, 'The public keys that may sign its desired state'), ...problems },
    },
    {
      method: 'get',
      path: '/agent/v1/desired',
      tags,
      security,
      request: {
        query: z.object({
          wait: z.string().optional().openapi({ description: 'Seconds, at most 55; a text that is no number counts as 0', example: '0' }),
        }),
        headers: z.object({ 'if-none-match': z.string().optional() }),
      },
      responses: {
        200: { description: 'A compact JWS of the desired state', content: { 'application/jose': { schema: z.string() } } },
        304: { description: 'Not modified' },
        ...problems,
      },
    },
    {
      method: 'get',
      path: '/agent/v1/bundles/{digest}',
      tags,
      security,
      request: {
        params: z.object({ digest: Digest }),
        headers: z.object({ range: z.string().optional(), 'if-range': z.string().optional(), 'if-none-match': z.string().optional() }),
      },
      responses: {
        200: { description: 'The archive', content: bytes },
        206: { description: 'A range of it', content: bytes },
        304: { description: 'Not modified' },
        ...problems,
        416: { description: 'The archive has no such range; Content-Range has its size' },
      },
    },
    {
      method: 'post',
      path: '/agent/v1/reports',
      tags,
      security,
      request: { body: body(ReportsRequest) },
      responses: { 200: json(ReportsResponse, 'Accepted, with the confirmed deployments'), ...problems },
    },
  ];
}

const HookAnswer = z.object({
  accepted: z.boolean(),
  outcome: z.enum(['accepted', 'duplicate', 'other_ref', 'other_repository', 'ignored']).optional(),
  reason: z.string().optional(),
  deliveryId: z.string().optional(),
});

function hookOperations(): Route[] {
  return [
    {
      method: 'post',
      path: '/hooks/{sourceId}',
      tags: ['Webhooks'],
      description: 'For Git hosts. The source’s webhook settings define the authentication, on the raw bytes.',
      security: open,
      request: {
        params: z.object({ sourceId: z.uuid() }),
        body: { required: true, content: { 'application/json': { schema: z.record(z.string(), z.unknown()) } } },
      },
      responses: {
        200: json(HookAnswer, 'A ping'),
        202: json(HookAnswer, 'Accepted or ignored'),
        ...problems,
        410: { ...problems[404], description: 'As 404, for hosts that keep sending after a 404' },
      },
    },
  ];
}

function healthOperations(): Route[] {
  const tags = ['Health'];
  const dependency = z.object({ ok: z.boolean(), durationMs: z.number(), error: z.string().optional() });
  const integration = z.object({
    id: z.string(),
    slug: z.string(),
    type: z.string(),
    state: z.enum(INTEGRATION_STATES),
    circuit: z.enum(['closed', 'open', 'half_open']).openapi({ description: 'open: requests of this process wait for the platform' }),
    lastSuccessAt: z.iso.datetime().nullable(),
  });
  const Readiness = z
    .object({
      status: z.enum(['ok', 'unavailable']),
      dependencies: z.record(z.string(), dependency),
      integrations: z
        .array(integration)
        .nullable()
        .openapi({ description: 'At most 100; their platforms leave the service ready. null while their states are not known' }),
      warnings: z.array(z.string()).openapi({ description: 'Settings that do not match the observed requests' }),
    })
    .openapi('Readiness');
  const readiness = (path: string): Route => ({
    method: 'get',
    path,
    tags,
    security: open,
    responses: { 200: json(Readiness, 'The service is ready'), 503: json(Readiness, 'A dependency is unavailable') },
  });
  return [
    readiness('/health'),
    readiness('/health/ready'),
    {
      method: 'get',
      path: '/health/live',
      tags,
      security: open,
      responses: { 200: json(z.object({ status: z.literal('ok') }), 'The process answers') },
    },
    {
      method: 'get',
      path: '/metrics',
      tags,
      security: open,
      responses: { 200: { description: 'Prometheus text format', content: { 'text/plain': { schema: z.string() } } } },
    },
  ];
}

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import {
  DESIRED_WITH_ARCHIVE,
  type DesiredState,
  EnrollRequest,
  PublicKeyJwk,
  type Report,
  ReportsRequest,
  withArchive,
} from '../../src/wire/agent.ts';
import { bundleArchive } from '../../src/wire/archive.ts';
import { ApplySpec, type BundleManifest, bundleDigest, sha256Hex } from '../../src/wire/bundle.ts';

/** A small, faithful server of `/agent/v1` for one device. Tests can inject faults. */
export type AgentServer = Awaited<ReturnType<typeof startAgentServer>>;

export type TestBundle = { digest: string; manifest: BundleManifest; archive: Buffer };

export type DeploymentReport = Extract<Report, { kind: 'deployment' }>;

type Intercept = (request: IncomingMessage, response: ServerResponse, path: string) => boolean | Promise<boolean>;

export const ENROLL_TOKEN = 'enroll-token';
const API_KEY = 'device-api-key';
const ORGANIZATION = 'org-1';

/** Builds a bundle from contents by path. The mode is 0644 unless `modes` has another. */
export async function makeBundle(
  files: Record<string, string>,
  apply: unknown = {},
  modes: Record<string, string> = {},
): Promise<TestBundle> {
  const contents = new Map(Object.values(files).map((text) => [sha256Hex(text), Buffer.from(text)]));
  const manifest: BundleManifest = {
    apiVersion: 'bellwether/v1',
    kind: 'Bundle',
    files: Object.keys(files)
      .sort()
      .map((path) => {
        const bytes = Buffer.from(files[path] ?? '');
        return { path, mode: modes[path] ?? '0644', size: bytes.length, sha256: sha256Hex(bytes) };
      }),
    apply: ApplySpec.parse(apply),
  };
  const archive = await bundleArchive(manifest, ({ sha256 }) => contents.get(sha256) ?? Buffer.alloc(0));
  return { digest: bundleDigest(manifest), manifest, archive };
}

export function etagOf(bundle: TestBundle): string {
  return `"${sha256Hex(bundle.archive).slice(0, 20)}"`;
}

export async function startAgentServer() {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
  const signingKey = PublicKeyJwk.parse({ ...(await exportJWK(publicKey)), kid: 'k1' });
  const bundles = new Map<string, TestBundle>();
  const reports = new Map<string, Report>();
  const requests: { method: string; path: string; headers: IncomingMessage['headers']; status: number; port: number | undefined }[] = [];
  let sequence = 0;
  let current: { jws: string; etag: string; deploymentId: string | null } | null = null;
  let intercept: Intercept | null = null;
  let supersededIds = new Set<string>();
  let inlined: Buffer | null = null;
  const changed = new Set<() => void>();
  const notify = () => {
    for (const listener of [...changed]) listener();
  };

  async function sign(
    payload: unknown,
    options: { kid?: string; typ?: string; key?: Parameters<CompactSign['sign']>[0] } = {},
  ): Promise<string> {
    return new CompactSign(Buffer.from(JSON.stringify(payload)))
      .setProtectedHeader({ alg: 'EdDSA', kid: options.kid ?? 'k1', typ: options.typ ?? 'bellwether-desired+jwt' })
      .sign(options.key ?? privateKey);
  }

  function stateOf(deviceId: string, overrides: Partial<DesiredState>): DesiredState {
    sequence = overrides.sequence ?? sequence + 1;
    return {
      deviceId,
      organizationId: ORGANIZATION,
      sequence,
      issuedAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      deploymentId: null,
      bundle: null,
      beginBefore: null,
      force: false,
      driftPolicy: 'report',
      commands: [],
      pollAfterSeconds: 0,
      heartbeatSeconds: 30,
      ...overrides,
    };
  }

  function publish(jws: string, deploymentId: string | null): void {
    current = { jws, etag: `"${sha256Hex(jws).slice(0, 16)}"`, deploymentId };
    notify();
  }

  async function desire(overrides: Partial<DesiredState>, deviceId = 'terminal-1'): Promise<DesiredState> {
    const state = stateOf(deviceId, overrides);
    publish(await sign(state), state.deploymentId);
    return state;
  }

  const api = {
    url: '',
    sign,
    stateOf,
    publish,
    desire,
    /** Makes the bundle downloadable and desired. */
    deploy(bundle: TestBundle, deploymentId: string, overrides: Partial<DesiredState> = {}): Promise<DesiredState> {
      bundles.set(bundle.digest, bundle);
      const { digest, archive } = bundle;
      return desire({ deploymentId, bundle: { digest, size: archive.length, url: `/agent/v1/bundles/${digest}` }, ...overrides });
    },
    /** Replaces the server's answer when it resolves to true. null: no fault. */
    intercept(next: Intercept | null): void {
      intercept = next;
    },
    /** Archive for the answer with the desired state, if the agent asks for it. */
    inline(archive: Buffer | null): void {
      inlined = archive;
    },
    /** Supersedes this deployment, so that the server does not confirm it. */
    supersede(deploymentId: string): void {
      supersededIds = new Set([...supersededIds, deploymentId]);
    },
    requests,
    /** Resets all requests, reports and desired states. */
    forget(): void {
      requests.splice(0);
      reports.clear();
      current = null;
    },
    reports: () => [...reports.values()],
    states: (deploymentId: string) =>
      [...reports.values()].flatMap((report) =>
        report.kind === 'deployment' && report.deploymentId === deploymentId ? [report.state] : [],
      ),
    deploymentReport: (deploymentId: string, state: DeploymentReport['state']): DeploymentReport | undefined =>
      [...reports.values()].find(
        (report): report is DeploymentReport =>
          report.kind === 'deployment' && report.deploymentId === deploymentId && report.state === state,
      ),
    /** Resolves when the fact holds, which it checks after every request and report. @throws after `timeoutMs`, with the reports so far */
    until<T>(what: string, fact: () => T | undefined | false | null, timeoutMs = 180_000): Promise<T> {
      return new Promise((done, fail) => {
        const timer = setTimeout(() => {
          changed.delete(check);
          const reported = [...reports.values()].filter(({ kind }) => kind !== 'telemetry');
          fail(new Error(`Waited in vain for: ${what}\n${JSON.stringify(reported, null, 1)}\n${JSON.stringify(requests.slice(-10))}`));
        }, timeoutMs);
        const check = () => {
          const value = fact();
          if (value === undefined || value === false || value === null) return;
          clearTimeout(timer);
          changed.delete(check);
          done(value);
        };
        changed.add(check);
        check();
      });
    },
    async close(): Promise<void> {
      notify();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = url.pathname.replace('/agent/v1', '');
    const record = { method: request.method ?? '', path, headers: request.headers, status: 0, port: request.socket.remotePort };
    requests.push(record);
    notify();
    response.once('close', () => {
      record.status = response.headersSent ? response.statusCode : 0;
      notify();
    });
    if (intercept !== null && (await intercept(request, response, path))) return;
    if (path === '/time') return json(response, 200, { now: new Date().toISOString() });
    if (path === '/enroll') return enroll(request, response);
    if (request.headers['x-api-key'] !== API_KEY) return json(response, 401, { code: 'unauthorized' });
    if (path === '/keys') return json(response, 200, { organizationId: ORGANIZATION, signingKeys: [signingKey] });
    if (path === '/desired') return desired(request, response, url.searchParams);
    if (path === '/reports') return accept(request, response);
    if (path.startsWith('/bundles/')) return bundle(request, response, path.slice('/bundles/'.length));
    json(response, 404, { code: 'not_found' });
  }

  async function enroll(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.authorization !== `Bearer ${ENROLL_TOKEN}`) return json(response, 401, { code: 'unauthorized' });
    const { deviceId } = EnrollRequest.parse(JSON.parse(await bodyOf(request)));
    json(response, 201, { deviceId, organizationId: ORGANIZATION, apiKey: API_KEY, signingKeys: [signingKey] });
  }

  async function desired(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
    const waitSeconds = Number(query.get('wait') ?? 0);
    const known = request.headers['if-none-match'];
    const isNew = () => current !== null && current.etag !== known;
    if (!isNew()) {
      await new Promise<void>((done) => {
        const end = () => {
          if (!isNew() && server.listening && !response.destroyed && Date.now() < deadline) return;
          clearTimeout(timer);
          changed.delete(end);
          done();
        };
        const deadline = Date.now() + waitSeconds * 1000;
        const timer = setTimeout(end, waitSeconds * 1000 + 1);
        changed.add(end);
        response.once('close', end);
      });
    }
    if (response.destroyed) return;
    if (current === null || current.etag === known) {
      response.writeHead(304, current === null ? {} : { etag: current.etag }).end();
      return;
    }
    const { etag, jws } = current;
    if (inlined !== null && inlined.length <= Number(query.get('inline') ?? 0))
      response.writeHead(200, { 'content-type': DESIRED_WITH_ARCHIVE, etag }).end(withArchive(jws, inlined));
    else response.writeHead(200, { 'content-type': 'application/jose', etag }).end(jws);
  }

  async function accept(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parsed = ReportsRequest.safeParse(JSON.parse(await bodyOf(request)));
    if (!parsed.success) return json(response, 400, { code: 'invalid_request', detail: parsed.error.message });
    for (const report of parsed.data.reports) if (!reports.has(report.id)) reports.set(report.id, report);
    const confirming = parsed.data.reports.flatMap((report) =>
      report.kind === 'deployment' && report.state === 'confirming' ? [report.deploymentId] : [],
    );
    json(response, 200, { accepted: parsed.data.reports.length, confirmed: confirming.filter((id) => !supersededIds.has(id)) });
    notify();
  }

  function bundle(request: IncomingMessage, response: ServerResponse, digest: string): void {
    const found = bundles.get(digest);
    if (found === undefined) {
      json(response, 404, { code: 'not_found' });
      return;
    }
    const etag = etagOf(found);
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? Number.NaN);
    const ranged = !Number.isNaN(from) && request.headers['if-range'] === etag;
    const size = found.archive.length;
    if (ranged && from >= size) {
      response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
      return;
    }
    const body = ranged ? found.archive.subarray(from) : found.archive;
    const range = ranged ? { 'content-range': `bytes ${from}-${size - 1}/${size}` } : {};
    response.writeHead(ranged ? 206 : 200, { etag, 'content-length': body.length, 'accept-ranges': 'bytes', ...range }).end(body);
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!response.headersSent) json(response, 500, { detail: String(error) });
      else response.destroy();
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  api.url = `http://127.0.0.1:${port}`;
  return api;
}

export function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

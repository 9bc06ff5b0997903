import { mintSigningToken, verifyStandardWebhooks } from '../../../crypto/signature.ts';
import type { Json } from '../../../wire/text/json.ts';
import { type DeviceBehaviour, serveVendor, type VendorRequest, type VendorResponse, type VendorServer } from '../vendor-server.ts';

type Running = { digest: string; token: string; content: Json };
type Device = {
  name: string;
  running: Running | null;
  trial: Running | null;
  before: Running | null;
  failed: { token: string; detail: string } | null;
  behaviour: DeviceBehaviour;
};

export type HttpGateway = VendorServer & {
  /** The confirmed configuration, or the one on trial. */
  runs(externalId: string): Json;
  /** Takes back all configurations that nobody has confirmed, as the gateway's time limit does. */
  expireTrials(): void;
};

/** Plays a gateway that takes signed configurations for its devices and holds each on trial. */
export async function openHttpGateway({ port }: { port?: number } = {}): Promise<HttpGateway> {
  const devices = new Map<string, Device>();
  const signingSecret = mintSigningToken();
  const served = await serveVendor((request) => answer(devices, signingSecret, request), { port });
  const deviceOf = (id: string): Device => {
    const found = devices.get(id);
    if (found === undefined) throw new Error(`Cannot find device "${id}" of the played gateway`);
    return found;
  };
  return {
    ...served,
    settings: { baseUrl: served.url },
    credentials: { signingSecret },
    addDevice: ({ name, online = true }) => {
      devices.set(name, { name, running: null, trial: null, before: null, failed: null, behaviour: { offline: !online } });
      return name;
    },
    removeDevice: (id) => void devices.delete(id),
    change: () => undefined,
    shown: (id) => (devices.has(id) ? { name: id } : undefined),
    behave: (id, behaviour) => {
      deviceOf(id).behaviour = behaviour;
    },
    runs: (id) => deviceOf(id).running?.content ?? null,
    expireTrials: () => {
      for (const device of devices.values()) putBack(device);
    },
  };
}

function putBack(device: Device): void {
  if (device.trial === null) return;
  device.running = device.before;
  device.trial = null;
}

function answer(devices: Map<string, Device>, secret: string, request: VendorRequest): VendorResponse {
  const rawBody = Buffer.from(request.body === undefined ? '' : JSON.stringify(request.body));
  const headers = { get: (name: string) => request.headers[name]?.toString() };
  if (!verifyStandardWebhooks({ headers, rawBody }, secret, new Date()).ok)
    return { status: 401, body: { error: 'the signature is wrong' } };
  const [, id = '', check] = /^\/devices\/([^/]+)\/configuration(\/check)?$/.exec(request.path) ?? [];
  const device = devices.get(id);
  if (device === undefined) return { status: 404, body: { error: 'no such device' } };
  if (request.method === 'GET') return { status: 200, body: show(device) };
  const body = (request.body ?? {}) as { [key: string]: Json };
  if (typeof body.confirm === 'string') return settle(device, body.confirm, () => (device.trial = null));
  if (typeof body.cancel === 'string') return settle(device, body.cancel, () => putBack(device));
  return take(device, body, check !== undefined);
}

function show({ running, failed, behaviour }: Device): Json {
  if (failed !== null) return { status: 'failed', token: failed.token, detail: failed.detail, digest: running?.digest ?? null };
  return { status: behaviour.offline === true ? 'applying' : 'running', digest: running?.digest ?? null, token: running?.token ?? null };
}

function settle(device: Device, token: string, act: () => unknown): VendorResponse {
  if (device.failed?.token === token) device.failed = null;
  if (device.trial?.token === token) act();
  return { status: 200, body: show(device) };
}

function take(device: Device, { token, digest, document, files }: { [key: string]: Json }, isCheck: boolean): VendorResponse {
  const content = document ?? files ?? null;
  const keys = typeof content === 'object' && content !== null ? Object.keys(content) : [];
  if (keys.includes('invalid')) return { status: 422, body: { error: 'the configuration is invalid' } };
  if (isCheck) return { status: 200, body: show(device) };
  if (typeof token !== 'string' || typeof digest !== 'string') return { status: 400, body: { error: 'token and digest are missing' } };
  device.failed = null;
  const refused = device.behaviour.refuses?.find((key) => keys.includes(key));
  if (refused !== undefined) device.failed = { token, detail: `the device refuses "${refused}"` };
  else if (device.running?.token !== token) {
    if (device.trial === null) device.before = device.running;
    device.running = { digest, token, content };
    device.trial = device.running;
  }
  return { status: 200, body: show(device) };
}

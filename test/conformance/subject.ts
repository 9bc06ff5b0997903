import type { VendorRequest, VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { vendorConnector } from '../../src/integration/api.ts';
import type {
  HookRequest,
  Platform,
  Provider,
  PushConfiguration,
  PushTarget,
  RemoteDevice,
  Values,
} from '../../src/integration/provider.ts';
import type { Json } from '../../src/wire/text/json.ts';

/** A provider and its faithful server, with the few things that the suite cannot know of a vendor. */
export type Subject<Server extends VendorServer = VendorServer> = {
  provider: Provider;
  start(): Promise<Server>;
  /** Devices that make more than two pages of the list. */
  devices: number;
  /** Requests that list devices. */
  listPath?: RegExp;
  /** Values of a new device, and two writable values of different fields. */
  created?: Values;
  update?: { field: string; value: Json };
  push?: {
    /** Configurations that a device takes, one after the other. */
    first: Json;
    second: Json;
    /** One that is refused before anything is changed. */
    invalid: Json;
    /** A key of `second`, as a device refuses it. */
    key: string;
    /** All that the platform holds of the device's configuration. */
    held(server: Server, externalId: string): Json;
  };
  command?: { type: string; payload: Record<string, Json> };
  /** A hook as the platform sends it, with this secret; undefined: without any. */
  hook?(externalId: string, secret: string | undefined): HookRequest;
  /** Puts secrets into all that the views show. @returns them */
  plant?(server: Server, externalId: string): string[];
};

export const signal = new AbortController().signal;

/** One request of the suite waits this long at most. */
export const TIMEOUT_MS = 250;

export function openSubject({ provider }: Subject, server: VendorServer, timeoutMs?: number): Platform {
  const connect = vendorConnector({ guard: addressGuard({ allowPrivate: true }), isolate: (work) => work() });
  return provider.open({
    settings: server.settings,
    credentials: server.credentials,
    connect: (vendor) => connect(timeoutMs === undefined ? vendor : { ...vendor, timeoutMs }),
  });
}

/** Walks all pages as a sync does: the pages that are named ahead several at once, and the last one's `next` after them. */
export async function walk(platform: Platform): Promise<RemoteDevice[]> {
  if (platform.list === undefined) throw new Error('the platform lists no devices');
  const devices: RemoteDevice[] = [];
  let cursor: string | null = null;
  for (let rounds = 0; rounds < 50; rounds += 1) {
    const page = await platform.list(cursor, signal);
    devices.push(...page.devices);
    const list = platform.list;
    const ahead = await Promise.all((page.following ?? []).map((following) => list(following, signal)));
    for (const { devices: more } of ahead) devices.push(...more);
    const last = ahead.at(-1) ?? page;
    if (last.next === null) return devices;
    cursor = last.next;
  }
  throw new Error('the walk does not end');
}

export const idsOf = (devices: readonly RemoteDevice[]): string[] => devices.map(({ externalId }) => externalId);

export const targetOf = (externalId: string): PushTarget => ({ organizationId: 'o', deviceId: 'd', externalId });

export const configuration = (document: Json): PushConfiguration => ({
  digest: `sha256:${Buffer.from(JSON.stringify(document)).toString('hex').slice(0, 64)}`,
  document,
  files: [],
  readFile: async () => new Uint8Array(),
});

/** A call that only checks a configuration is no write. */
export const writesOf = (server: VendorServer): VendorRequest[] =>
  server.requests.filter(({ method, path }) => method !== 'GET' && !path.endsWith('/check'));

/** Between two steps everything is JSON. */
export const stored = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

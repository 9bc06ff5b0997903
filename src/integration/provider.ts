import type { z } from 'zod';
import type { AddressGuard } from '../git/http/address-guard.ts';
import type { Json } from '../wire/text/json.ts';
import type { ConnectVendor, Isolate } from './api.ts';
import type { Identity } from './integration.ts';

/**
 * A kind of device platform. Each one is a file in `providers/`, a line in the registry and a faithful server in the tests; no other code
 * knows a vendor. Everything that a platform cannot do is left out of its `Platform`, and callers look before they call.
 */
export type Provider = {
  /** As users write it: `golioth`. Also the name of the adapter, where the platform takes configuration. */
  readonly kind: string;
  readonly title: string;
  /** Schema of the settings, which hold no secrets. */
  readonly settings: z.ZodObject;
  /** Schema of the credentials: texts that are sealed. */
  readonly credentials: z.ZodObject;
  /** Fields of a device that a sync may carry. `name` and `type` are the device's own, all others its attributes. */
  readonly fields: Readonly<Record<string, FieldTraits>>;
  /** The fields of one account, where its settings decide them. @param settings valid by `settings` */
  fieldsFor?(settings: unknown): Readonly<Record<string, FieldTraits>>;
  /** Names the account, where the settings alone decide it: integrations with the same name show the same devices. undefined for settings that are not valid. */
  accountOf?(settings: unknown): string | undefined;
  readonly views: Readonly<Record<string, ViewTraits>>;
  /** The file of a bundle that holds the configuration for this platform; null: the platform takes whole bundles, or no configuration. */
  readonly document: DocumentTraits | null;
  readonly defaultIntervalSeconds: number;
  /** The account of an integration that the environment's `<KIND>_API_URL` and `<KIND>_API_TOKEN` describe. Only where the provider has such variables. */
  fromEnvironment?(given: { apiUrl: string; apiToken: string }): { settings: unknown; credentials: unknown };
  /** For lists and pages. A test compares them with the methods of the opened platform. */
  readonly abilities: Abilities;
  /**
   * Opens the platform. Sends no request yet.
   * @throws Problem `invalid_request` for settings or credentials that break their schemas
   */
  open(account: Account): Platform;
};

export type Account = { settings: unknown; credentials: unknown; connect: ConnectVendor; sockets?: SocketAccess };

/** For platforms that are not called by HTTP: which addresses are allowed, and the integration's limits. `tlsOnly`: refuse connections without TLS. */
export type SocketAccess = { guard: AddressGuard; isolate: Isolate; tlsOnly: boolean };

export type Abilities = {
  /** Lists its devices; without it, devices are assigned by hand. */
  list: boolean;
  create: boolean;
  update: boolean;
  delete: boolean;
  /** Takes configuration, and whether what a device runs can be read back. */
  push: false | 'verified' | 'unverified';
  /** Takes a change on trial until it is confirmed, and undoes it by itself otherwise. */
  nativeConfirm: boolean;
  /** Checks a configuration without applying it. */
  dryRun: boolean;
  execute: boolean;
  hook: boolean;
};

/** `set`: an array whose order does not count. `map`: an object whose keys are decided one by one. */
export type FieldTraits = { kind: 'scalar' | 'set' | 'map'; writable: boolean; title: string };
export type ViewTraits = { title: string; cacheSeconds: number };
/** `names`: the file's names in the bundle's root, such as `golioth.yaml`; the first that is there counts. */
export type DocumentTraits = { names: readonly string[]; schema: z.ZodType };

/** One account on a platform. Every call has the integration's limits and throws Problems `integration_…`. */
export type Platform = {
  /**
   * Proves address and credentials with the cheapest call. @returns what a person recognises the account by, such as the project's name
   * `gaps`: settings that have no effect, such as a path that found nothing in the answer; sentences for people
   */
  test(signal: AbortSignal): Promise<{ account: string; devices: number | null; sample: RemoteDevice[]; gaps?: string[] }>;
  /** @param cursor null: the first page; else `next` of the page before */
  list?(cursor: string | null, signal: AbortSignal): Promise<RemotePage>;
  read?(externalId: string, signal: AbortSignal): Promise<RemoteDevice | undefined>;
  /**
   * @param device `marker`: a text by which the list shows the new device again, also where this answer is lost: as an identity `hardware`.
   * A platform that cannot carry it is recognised by the device's name.
   */
  create?(device: { name: string; values: Values; marker: string }, signal: AbortSignal): Promise<RemoteDevice>;
  /** Writes these fields only. @returns the device as the platform shows it afterwards */
  update?(externalId: string, changes: Values, signal: AbortSignal): Promise<RemoteDevice>;
  delete?(externalId: string, signal: AbortSignal): Promise<void>;
  execute?(target: PushTarget, command: VendorCommand, signal: AbortSignal): Promise<CommandOutcome>;
  /** @param reference as `execute` returned it */
  outcome?(target: PushTarget, reference: string, signal: AbortSignal): Promise<CommandOutcome>;
  hook?: HookReader;
  /** One of the provider's views; redacted. */
  view?(name: string, target: PushTarget, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Json>;
  push?: Push;
  close?(): Promise<void>;
};

export type Values = Record<string, Json>;
export type RemotePage = {
  devices: RemoteDevice[];
  /** Cursor of the next page; null: this is the last one. */
  next: string | null;
  total: number | null;
  /** Cursors of all pages after this one, in their order, where they are known: such pages are asked for several at once. `next` of the last one counts. */
  following?: readonly string[] | undefined;
};

/** A device as its platform shows it. */
export type RemoteDevice = {
  externalId: string;
  /** Other ids of the same device, the most trusted first. */
  identities: Identity[];
  /** Values of the provider's fields, `name` among them. A field that the platform does not show is left out. */
  values: Values;
  connectivity: 'online' | 'offline' | 'unknown';
  lastSeenAt: Date | null;
  /** The last state that the device reported, where the platform shows it. */
  state?: Json | undefined;
  /** The platform's verdict on the configuration that the device was sent. */
  verdict?: ConfigurationVerdict | undefined;
  /** More that people want to see; never a secret. */
  details: Record<string, Json>;
  updatedAt: Date | null;
};

export type ConfigurationVerdict = {
  status: 'in_sync' | 'out_of_sync' | 'unknown';
  at: Date | null;
  errors: { key: string; code: string; detail: string }[];
};

export type PushTarget = { organizationId: string; deviceId: string; externalId: string };

/** The wanted configuration of a device. `document` is the parsed file of the provider's `document`; undefined: the bundle has none. */
export type PushConfiguration = {
  digest: string;
  document: Json | undefined;
  /** Paths and sizes of all files, and how one is read. */
  files: readonly { path: string; size: number; sha256: string }[];
  readFile(sha256: string): Promise<Uint8Array>;
};

/**
 * The apply contract. Each step is idempotent, and everything that it returns is JSON: the caller stores it before the next step, so that another
 * process goes on after a crash between any two steps.
 *
 * `prepare` (reads what is there now, decides the changes) → `apply` (with a token that was stored before) → `verify` until it is decided →
 * `confirm`, or `cancel`, which puts back what `prepare` read.
 */
export type Push = {
  /** @throws Problem with `retry: never` for a configuration that the platform does not take; nothing is changed */
  prepare(target: PushTarget, configuration: PushConfiguration, signal: AbortSignal): Promise<PreparedPush>;
  /** @returns what `verify` needs to find this change */
  apply(target: PushTarget, prepared: PreparedPush, token: string, signal: AbortSignal): Promise<Json>;
  verify(target: PushTarget, prepared: PreparedPush, receipt: Json, token: string, signal: AbortSignal): Promise<Verification>;
  /** Only where the platform holds a change on trial. */
  confirm?(target: PushTarget, prepared: PreparedPush, receipt: Json, signal: AbortSignal): Promise<void>;
  /** @param receipt null: the process died while it applied, so that any part of the change may be there */
  cancel(target: PushTarget, prepared: PreparedPush, receipt: Json | null, signal: AbortSignal): Promise<void>;
};

/** `previous` is the backup; null where the platform shows nothing that could be put back. */
export type PreparedPush = { desired: Json; previous: Json | null; isUnchanged: boolean };

export type Verification =
  | { is: 'verified' }
  /** The platform took it and shows nothing by which anybody could tell whether the device runs it. */
  | { is: 'unverified'; reason: string }
  | { is: 'pending'; reason: string; afterSeconds: number }
  | { is: 'refused'; reason: string };

export type VendorCommand = { id: string; type: string; payload: Record<string, Json>; expiresAt: Date };
/** `sent`: the platform has it and names it `reference`; `outcome` asks again. */
export type CommandOutcome =
  | { state: 'completed' | 'failed'; result: Json }
  | { state: 'sent'; reference: string; result?: Json | undefined };

export type HookRequest = { headers: Headers; rawBody: Uint8Array };
export type HookReader = {
  /** Compares in constant time. @param secret as the operator set it */
  verify(request: HookRequest, secret: string): boolean;
  /** @throws Problem `hook_malformed` */
  parse(request: HookRequest): HookNotice;
};
/** A hint: what it says is read again from the platform, except for the state of a device. */
export type HookNotice = {
  /** null: the platform sends none, and the content stands for it. */
  deliveryId: string | null;
  /** Devices that it is about; empty: the whole account. */
  devices: { externalId: string; seenAt: Date | null; state?: Json | undefined }[];
};

type Definition<S extends z.ZodObject, C extends z.ZodObject> = Omit<
  Provider,
  'settings' | 'credentials' | 'open' | 'fieldsFor' | 'accountOf'
> & {
  settings: S;
  fieldsFor?(settings: z.output<S>): Readonly<Record<string, FieldTraits>>;
  accountOf?(settings: z.output<S>): string | undefined;
  credentials: C;
  open(account: { settings: z.output<S>; credentials: z.output<C>; connect: ConnectVendor; sockets?: SocketAccess | undefined }): Platform;
};

/** Makes a provider whose `open` gets what its schemas parsed. */
export function defineProvider<S extends z.ZodObject, C extends z.ZodObject>(definition: Definition<S, C>): Provider {
  const { settings, credentials, fieldsFor, accountOf, ...rest } = definition;
  return {
    ...rest,
    settings,
    credentials,
    ...(fieldsFor && { fieldsFor: (given) => fieldsFor(settings.parse(given)) }),
    ...(accountOf && { accountOf: (given) => accountIn(settings.safeParse(given), accountOf) }),
    open: (account) =>
      definition.open({
        settings: settings.parse(account.settings),
        credentials: credentials.parse(account.credentials),
        connect: account.connect,
        sockets: account.sockets,
      }),
  };
}

function accountIn<T>({ data }: z.ZodSafeParseResult<T>, accountOf: (settings: T) => string | undefined): string | undefined {
  return data === undefined ? undefined : accountOf(data);
}

/** Fields of an account that a sync may carry. @param settings as they are stored */
export function fieldsOf(provider: Provider, settings: unknown): Readonly<Record<string, FieldTraits>> {
  return provider.fieldsFor?.(settings) ?? provider.fields;
}

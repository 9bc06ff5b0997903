import { randomBytes } from 'node:crypto';
import { serveVendor, type VendorRequest, type VendorResponse, type VendorServer } from '../vendor-server.ts';
import { type Account, addApp, addDevice, addGroup, createAccount, type ManagedDevice, settle } from './account.ts';
import { answerOf, refusal, type Sides, USUAL_SIDES } from './routes.ts';

export type MobivisorServer = VendorServer & {
  account: Account;
  sides: Sides;
  addApp(app: Parameters<typeof addApp>[1]): string;
  addGroup(name: string): string;
  device(externalId: string): ManagedDevice;
  /** The token is no longer valid. */
  expireToken(): void;
  /** @returns a token that is valid from now on */
  renewToken(): string;
};

type Options = { port?: number; latencyMs?: number; sides?: Partial<Sides> };

/** Plays a tenant of Mobivisor, as far as its API is known; `sides` decide where it is not. */
export async function startMobivisor(options: Options = {}): Promise<MobivisorServer> {
  const account = createAccount();
  const sides: Sides = { ...USUAL_SIDES, ...options.sides };
  let token: string | null = newToken();
  const answer = (request: VendorRequest): VendorResponse =>
    token !== null && request.headers.authorization === `Bearer ${token}`
      ? answerOf(account, sides, request)
      : refusal(sides, 401, 'Unauthorized: the token is missing, wrong or expired');
  const { url, requests, faults, close } = await serveVendor(answer, options);
  const device = (externalId: string): ManagedDevice => {
    const found = account.devices.get(externalId);
    if (found === undefined) throw new Error(`no device ${externalId}`);
    return found;
  };
  return {
    url,
    requests,
    faults,
    close,
    account,
    sides,
    device,
    settings: { apiUrl: url, completedStatuses: ['Done'], failedStatuses: ['Failed'], proofSeconds: 0 },
    credentials: { token },
    addDevice: (added) => addDevice(account, added),
    removeDevice: (externalId) => void account.devices.delete(externalId),
    change: (externalId, values) => void Object.assign(device(externalId).fields, values),
    shown: (externalId) => account.devices.get(externalId)?.fields,
    behave: (externalId, behaviour) => {
      const one = device(externalId);
      one.behaviour = behaviour;
      if (behaviour.offline !== undefined) one.fields.status = behaviour.offline ? 'Offline' : 'Online';
      settle(account, one);
    },
    addApp: (app) => addApp(account, app),
    addGroup: (name) => addGroup(account, name),
    expireToken: () => {
      token = null;
    },
    renewToken: () => {
      token = newToken();
      return token;
    },
  };
}

/** Looks as the vendor's do: three parts in base64url. */
function newToken(): string {
  const part = (bytes: number) => randomBytes(bytes).toString('base64url');
  return `${part(15)}.${part(30)}.${part(32)}`;
}

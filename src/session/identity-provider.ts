import * as client from 'openid-client';
import { backoff } from '../async/backoff.ts';
import { pause } from '../async/pause.ts';
import type { Config } from '../config.ts';
import { messageOf, Problem } from '../errors.ts';
import type { AddressGuard } from '../git/http/address-guard.ts';
import { closeConnections, dispatcherFor } from '../git/http/connections.ts';

/** Values of one sign-in that the callback compares with the provider's answer. */
export type SignInAttempt = { state: string; nonce: string; verifier: string };

/** A user as the provider describes them. `values`: those of the role claim. */
export type Person = { subject: string; name: string; email: string | null; values: string[] };

/** Signs users in by OpenID Connect, with the authorization code flow and PKCE. */
export type IdentityProvider = {
  /** Shown on the button. */
  readonly name: string;
  /** @returns the address at the provider @throws Problem `oidc_unavailable` */
  begin(): Promise<{ address: URL; attempt: SignInAttempt }>;
  /** @param search the query that the provider added to the callback @throws Problem `oidc_refused`, `oidc_unavailable` */
  finish(search: string, attempt: SignInAttempt): Promise<Person>;
  close(): Promise<void>;
};

/** The settings of a provider, all given. */
export type ProviderSettings = Pick<Config, 'OIDC_CLIENT_SECRET' | 'OIDC_NAME' | 'OIDC_SCOPES' | 'OIDC_ROLE_CLAIM'> & {
  issuer: string;
  clientId: string;
  callback: string;
};

/** Limit of one request to the provider. */
const TIMEOUT_SECONDS = 5;
const TRIES = 2;
const RETRY_BASE_MS = 300;
/** The provider's description of itself is asked for again after this time. Its keys have a cache of their own. */
const DISCOVERED_FOR_MS = 3_600_000;

export function createIdentityProvider(settings: ProviderSettings, guard: AddressGuard): IdentityProvider {
  const discovered = rememberFor(DISCOVERED_FOR_MS, () => discover(settings, guard));
  return {
    name: settings.OIDC_NAME ?? new URL(settings.issuer).host,
    begin: async () => {
      const configuration = await discovered().catch(rethrow);
      const attempt = { state: client.randomState(), nonce: client.randomNonce(), verifier: client.randomPKCECodeVerifier() };
      const address = client.buildAuthorizationUrl(configuration, {
        redirect_uri: settings.callback,
        scope: settings.OIDC_SCOPES,
        state: attempt.state,
        nonce: attempt.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(attempt.verifier),
        code_challenge_method: 'S256',
      });
      return { address, attempt };
    },
    finish: async (search, { state, nonce, verifier }) => {
      const configuration = await discovered().catch(rethrow);
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier };
      return client
        .authorizationCodeGrant(configuration, new URL(settings.callback + search), checks)
        .then((tokens) => personOf(settings, configuration, tokens))
        .catch(rethrow);
    },
    close: () => closeConnections(guard),
  };
}

function discover({ issuer, clientId, OIDC_CLIENT_SECRET: secret }: ProviderSettings, guard: AddressGuard): Promise<client.Configuration> {
  const server = new URL(issuer);
  return client.discovery(server, clientId, secret, authenticationOf(secret), {
    timeout: TIMEOUT_SECONDS,
    // The settings allow this for a provider on this machine alone.
    execute: server.protocol === 'http:' ? [client.allowInsecureRequests] : [],
    [client.customFetch]: (url, options) => fetchFrom(guard, url, options),
  });
}

/** Repeats questions after a fault of the network or the provider. A code works once, so that its request is never repeated. */
async function fetchFrom(guard: AddressGuard, url: string, options: client.CustomFetchOptions): Promise<Response> {
  const signal = options.signal ?? undefined;
  for (let tried = 1; ; tried += 1) {
    const isLast = tried === TRIES || options.method !== 'GET';
    try {
      const response = await fetch(url, { ...options, signal: signal ?? null, dispatcher: await dispatcherFor(guard, new URL(url)) });
      if (response.status < 500 || isLast) return response;
      await response.body?.cancel();
    } catch (error) {
      if (isLast || signal?.aborted) throw error;
    }
    await pause(backoff({ base: RETRY_BASE_MS }, tried), signal);
  }
}

/** Uses the method that the provider offers; HTTP Basic is the standard's default. */
function authenticationOf(secret: string | undefined): client.ClientAuth {
  if (secret === undefined) return client.None();
  const [basic, post] = [client.ClientSecretBasic(secret), client.ClientSecretPost(secret)];
  return (server, ...rest) => {
    const offered = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    (offered.includes('client_secret_basic') ? basic : post)(server, ...rest);
  };
}

/** Many providers put groups into the answer of the userinfo endpoint alone. */
async function personOf(
  { OIDC_ROLE_CLAIM: roleClaim }: ProviderSettings,
  configuration: client.Configuration,
  tokens: Awaited<ReturnType<typeof client.authorizationCodeGrant>>,
): Promise<Person> {
  const identity = tokens.claims();
  if (identity === undefined) throw new Problem('oidc_refused', 'Cannot sign in: the identity provider sent no ID token');
  const hasUserInfo = configuration.serverMetadata().userinfo_endpoint !== undefined;
  const more = hasUserInfo ? await client.fetchUserInfo(configuration, tokens.access_token, identity.sub) : {};
  const claims: Record<string, unknown> = { ...more, ...identity };
  const email = claims.email_verified === false ? undefined : textOf(claims.email);
  const name = email ?? textOf(claims.preferred_username) ?? textOf(claims.name) ?? identity.sub;
  return { subject: identity.sub, name, email: email ?? null, values: valuesOf(claimAt(claims, roleClaim)) };
}

const MAX_NAME = 200;

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value.trim().slice(0, MAX_NAME) : undefined;
}

/** The claim of that name, or else the one at that path: `realm_access.roles`. */
function claimAt(claims: Record<string, unknown>, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  return name
    .split('.')
    .reduce<unknown>(
      (at, part) => (typeof at === 'object' && at !== null && Object.hasOwn(at, part) ? Reflect.get(at, part) : undefined),
      claims,
    );
}

function valuesOf(claim: unknown): string[] {
  return [claim].flat().filter((value): value is string => typeof value === 'string');
}

/** Turns the library's errors into ours. */
function rethrow(error: unknown): never {
  if (error instanceof Problem) throw error;
  if (isRefusal(error))
    throw new Problem('oidc_refused', `Cannot sign in: the identity provider refused it: ${reasonOf(error)}`, { cause: error });
  throw new Problem('oidc_unavailable', `Cannot sign in: the identity provider does not answer as expected: ${reasonOf(error)}`, {
    cause: error,
  });
}

/** The provider's own refusal, or an answer to the browser that does not fit. */
function isRefusal(error: unknown): boolean {
  if (error instanceof client.AuthorizationResponseError) return true;
  if (error instanceof client.ResponseBodyError) return error.status < 500;
  return error instanceof client.ClientError && /CLAIM|INVALID_RESPONSE|TIMESTAMP/.test(error.code ?? '');
}

function reasonOf(error: unknown): string {
  if (error instanceof client.AuthorizationResponseError || error instanceof client.ResponseBodyError) return error.error;
  return error instanceof Error && error.cause instanceof Error ? `${error.message}: ${messageOf(error.cause)}` : messageOf(error);
}

/** Shares the work and its result for a while. After a failure the last result stays; without one, the next call tries again. */
function rememberFor<T>(ms: number, work: () => Promise<T>): () => Promise<T> {
  let known: { result: T; until: number } | undefined;
  let running: Promise<T> | undefined;
  return () => {
    if (known !== undefined && Date.now() < known.until) return Promise.resolve(known.result);
    running ??= work()
      .then(
        (result) => {
          known = { result, until: Date.now() + ms };
          return result;
        },
        (error: unknown) => {
          if (known === undefined) throw error;
          return known.result;
        },
      )
      .finally(() => {
        running = undefined;
      });
    return running;
  };
}

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider, { type Configuration, interactionPolicy } from 'oidc-provider';

export const CLIENT = { id: 'bellwether', secret: 'a-client-secret-of-32-characters!' };

export type TestProvider = {
  issuer: string;
  /** The claims of each user, by their subject. */
  users: Map<string, Record<string, unknown>>;
  /** The user who signs in next. */
  user: string;
  /** Whether the user declines. */
  declines: boolean;
  /** Answers nothing, until it is opened again. */
  isSilent: boolean;
  /** Requests to each path. */
  requests: string[];
  close(): Promise<void>;
};

/** A real OpenID provider on this machine, whose users sign in without a form. */
export async function openProvider(redirectUri: string): Promise<TestProvider> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const test: TestProvider = {
    issuer,
    users: new Map(),
    user: '',
    declines: false,
    isSilent: false,
    requests: [],
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const provider = new Provider(issuer, settingsFor(test, redirectUri));
  const answer = provider.callback();
  server.on('request', async (request, response) => {
    const { pathname } = new URL(request.url ?? '', issuer);
    test.requests.push(pathname);
    if (test.isSilent) return;
    if (!pathname.startsWith('/interaction/')) return void answer(request, response);
    const result = test.declines ? { error: 'access_denied' } : { login: { accountId: test.user } };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  });
  return test;
}

function settingsFor(test: TestProvider, redirectUri: string): Configuration {
  const policy = interactionPolicy.base();
  policy.remove('consent');
  return {
    clients: [{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [redirectUri] }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username', 'groups', 'realm_access'] },
    features: { devInteractions: { enabled: false } },
    interactions: { policy, url: (_context, { uid }) => `/interaction/${uid}` },
    pkce: { required: () => true },
    cookies: { keys: ['a key for the cookies of the test'] },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...test.users.get(id) }) }),
    loadExistingGrant: async ({ oidc }) => {
      const { client, session, provider } = oidc;
      const grant = new provider.Grant({ clientId: client?.clientId ?? '', accountId: session?.accountId ?? '' });
      grant.addOIDCScope('openid email profile');
      await grant.save();
      return grant;
    },
  };
}

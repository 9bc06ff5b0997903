import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import type { Config } from '../../config.ts';
import { hashToken } from '../../crypto/tokens.ts';
import { Problem } from '../../errors.ts';
import { senderOf } from '../../http/address.ts';
import { unauthorized } from '../../http/bearer.ts';
import { pageOf } from '../../http/browser.ts';
import { body, json, problems } from '../../http/kit.ts';
import { limitBody, limitDepth } from '../../http/limits.ts';
import { refuse } from '../../http/rate-limit.ts';
import { type Actor, ROLES } from '../../organization/organization.ts';
import { organizationOf } from '../../organization/store.ts';
import type { IdentityProvider } from '../../session/identity-provider.ts';
import type { OpenSession } from '../../session/session.ts';
import { endSession, takeLink } from '../../session/store.ts';
import { MAX_TOKEN_CHARACTERS } from '../../wire/names.ts';
import { createApi, type Env, mount, mountOn, operation, role } from '../env.ts';
import { limitStrangers } from '../open-pages.ts';
import { crossOrigin } from '../operator-auth.ts';
import { openSession, type Proof, type SignInDeps, setSessionCookie } from './open-session.ts';

type Deps = SignInDeps & {
  identityProvider: IdentityProvider | null;
  config: Pick<Config, 'OIDC_ROLE_CLAIM'>;
};

/** For browsers that have no session yet. `POST /session` takes what a person typed, or the code of a one-time link. */
export function signInRoutes(deps: Deps) {
  const app = createApi();
  app.on('POST', '/session', limitBody(), limitDepth());
  app.on('GET', '/login-methods', limitStrangers(deps));
  return mountOn(app, signIn(deps), showMethods(deps));
}

/** The caller itself. */
export const ownRoutes = (deps: Deps) => mount(signOut(deps), showOwn(deps));

const tags = ['Sign in'];
const Me = z
  .object({
    organization: z.object({ id: z.string(), name: z.string() }),
    role: z.enum(ROLES),
    kind: z.enum(['token', 'user']).openapi({ description: 'user: of the identity provider' }),
    name: z.string(),
    email: z.string().nullable(),
    via: z.enum(['token', 'session']).openapi({ description: 'How this request was authenticated' }),
    sessionExpiresAt: z.iso
      .datetime()
      .nullable()
      .openapi({ description: 'When the session is over unless it is used before; null for a token' }),
    csrfToken: z
      .string()
      .nullable()
      .openapi({ description: 'Changes with the session need it in the header X-CSRF-Token; null for a token' }),
  })
  .openapi('Me');
const SignedIn = Me.extend({ sessionExpiresAt: z.iso.datetime(), csrfToken: z.string() }).openapi('SignedIn');
const LoginMethods = z
  .object({
    token: z.literal(true),
    oidc: z
      .object({
        name: z.string(),
        errors: z.record(z.string(), z.string()).openapi({ description: 'Texts for the codes in `/login?error=<code>`' }),
      })
      .nullable()
      .openapi({ description: 'The identity provider, at `/login/oidc`; null: the service has none' }),
  })
  .openapi('LoginMethods');
const Secret = z.string().min(1).max(MAX_TOKEN_CHARACTERS);
const SignIn = z
  .union([
    z.strictObject({ token: Secret.openapi({ description: 'An API token' }) }),
    z.strictObject({ code: Secret.openapi({ description: 'The code of a one-time link, which works once' }) }),
  ])
  .openapi('SignIn');

const signIn = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/session',
      tags,
      security: [],
      description: 'Sets the cookie `bellwether_session`, with the prefix `__Host-` by https. Pages of other origins cannot sign in.',
      request: { body: body(SignIn) },
      responses: { 201: json(SignedIn, 'Signed in'), ...problems },
    }),
    async (c) => {
      if (pageOf(c.env.incoming, deps.config) === 'other') refuse(deps.limits, senderOf(c, deps.config.TRUST_PROXY), crossOrigin());
      const given = c.req.valid('json');
      const proof = 'token' in given ? await proofOfToken(deps, c, given.token) : await proofOfLink(deps, c, given.code);
      deps.limits.token.take(proof.actor.id);
      const session = await openSession(deps, c, proof);
      const { csrfToken, endsAt } = session;
      const shown = { ...(await viewOwn(deps, session.actor, session)), csrfToken, sessionExpiresAt: endsAt.toISOString() };
      return c.json(shown, 201, { 'cache-control': 'no-store' });
    },
  );

const showMethods = ({ identityProvider, config }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/login-methods',
      tags,
      security: [],
      responses: { 200: json(LoginMethods, 'How people sign in'), ...problems },
    }),
    (c) => {
      const oidc = identityProvider === null ? null : { name: identityProvider.name, errors: oidcErrors(config.OIDC_ROLE_CLAIM) };
      return c.json({ token: true, oidc } as const, 200);
    },
  );

/** The page shows no text from its address, which anybody could write. */
function oidcErrors(roleClaim: string): Record<string, string> {
  return {
    oidc_unavailable: 'The identity provider does not answer. Try again in a moment, or sign in with a token.',
    oidc_refused: 'The identity provider refused the sign-in. Begin again.',
    oidc_state_invalid: 'This browser began no such sign-in, or it took longer than ten minutes. Begin again.',
    oidc_no_role: `The identity provider knows you, but gives you no role here: no value of the claim "${roleClaim}" stands for one. Ask whoever runs this service.`,
  };
}

async function proofOfToken({ operatorAuth, limits, config }: Deps, c: Context<Env>, token: string): Promise<Proof> {
  const sender = senderOf(c, config.TRUST_PROXY);
  const actor = await operatorAuth.actorOf({ via: 'token', secret: token.trim() }, sender);
  if (actor === undefined) refuse(limits, sender, unauthorized('the token is no API token, or was revoked'));
  return { actor, by: 'token', notAfter: null };
}

async function proofOfLink({ store, issuer, limits, config }: Deps, c: Context<Env>, code: string): Promise<Proof> {
  const taken = await takeLink(store.sql, issuer, hashToken(code));
  if (taken === undefined)
    refuse(limits, senderOf(c, config.TRUST_PROXY), new Problem('link_expired', 'Cannot sign in: the link was used before, or is too old'));
  return { actor: taken.actor, by: 'link', notAfter: taken.sessionExpiresAt };
}

const signOut = ({ store, config }: Deps) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/session',
      tags,
      middleware: [role('viewer')] as const,
      description: 'With a token there is no session to end, and nothing happens.',
      responses: { 204: { description: 'Signed out' }, ...problems },
    }),
    async (c) => {
      const session = c.get('session');
      if (session === undefined) return c.body(null, 204);
      const entry = { action: 'session.end', subject: `session:${session.id}` };
      const caller = { actor: session.actor, requestId: c.get('requestId') };
      await audited(caller, store, entry, ({ tx }) => endSession(tx, session.actor.organizationId, session.id));
      setSessionCookie(c, config, '', 0);
      return c.body(null, 204);
    },
  );

const showOwn = (deps: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/me',
      tags,
      middleware: [role('viewer')] as const,
      responses: { 200: json(Me, 'The caller'), ...problems },
    }),
    async (c) => c.json(await viewOwn(deps, c.get('actor'), c.get('session')), 200, { 'cache-control': 'no-store' }),
  );

async function viewOwn({ store }: Deps, actor: Actor, session: OpenSession | undefined): Promise<z.output<typeof Me>> {
  const { organizationId, role: held, kind, name, email } = actor;
  return {
    organization: await organizationOf(store.sql, organizationId),
    ...{ role: held, kind, name, email },
    via: session === undefined ? 'token' : 'session',
    sessionExpiresAt: session?.endsAt.toISOString() ?? null,
    csrfToken: session?.csrfToken ?? null,
  };
}

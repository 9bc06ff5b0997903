import type { Context } from 'hono';
import { z } from 'zod';
import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import { isProblem, notFound, Problem } from '../../errors.ts';
import { senderOf } from '../../http/address.ts';
import { cookieText, readCookie } from '../../http/browser.ts';
import { logOf } from '../../http/kit.ts';
import { organizationNamed } from '../../organization/store.ts';
import { grantOf } from '../../session/grant.ts';
import type { IdentityProvider, Person } from '../../session/identity-provider.ts';
import { createApi, type Env } from '../env.ts';
import { limitStrangers } from '../open-pages.ts';
import { openSession, type Proof, type SignInDeps } from './open-session.ts';

type Deps = SignInDeps & {
  box: SecretBox;
  identityProvider: IdentityProvider | null;
  config: Pick<Config, 'OIDC_ROLES' | 'OIDC_DEFAULT_ROLE' | 'OIDC_ROLE_CLAIM'>;
};

/** Holds what the callback must know. `Lax`: the browser comes to the callback from the provider's page. */
const ATTEMPT_COOKIE = 'bellwether_sign_in';
const ATTEMPT_SECONDS = 600;
const CONTEXT = 'sign-in attempt';

const Attempt = z.object({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  /** Page of ours to which the browser goes after the sign-in. */
  next: z.string(),
  startedAt: z.number(),
});
type Attempt = z.output<typeof Attempt>;

/** `/login/oidc` and its callback. Both answer with redirects; a failure leads to `/login?error=<code>`. */
export function oidcRoutes(deps: Deps) {
  const app = createApi();
  app.use('/login/oidc', limitStrangers(deps));
  app.get('/login/oidc', (c) => leadingBack(deps, c, () => begin(deps, c)));
  app.get('/login/oidc/callback', (c) => leadingBack(deps, c, () => finish(deps, c)));
  return app;
}

async function begin(deps: Deps, c: Context<Env>): Promise<string> {
  const { address, attempt } = await providerOf(deps).begin();
  const kept: Attempt = { ...attempt, next: ownPath(c.req.query('next')), startedAt: Date.now() };
  setAttempt(deps, c, deps.box.seal(JSON.stringify(kept), CONTEXT), ATTEMPT_SECONDS);
  return address.href;
}

async function finish(deps: Deps, c: Context<Env>): Promise<string> {
  const provider = providerOf(deps);
  const attempt = attemptOf(deps, c);
  setAttempt(deps, c, '', 0);
  if (attempt === undefined || c.req.query('state') !== attempt.state)
    throw new Problem('oidc_state_invalid', 'Cannot sign in: the answer of the identity provider fits no sign-in that this browser began');
  const person = await provider.finish(new URL(c.req.url).search, attempt);
  const proof = await proofOf(deps, person);
  deps.limits.token.take(proof.actor.id);
  await openSession(deps, c, proof);
  return pageAt(deps, attempt.next);
}

async function proofOf({ store, config, issuer }: Deps, { subject, name, email, values }: Person): Promise<Proof> {
  const grant = grantOf(values, config);
  if (grant === undefined)
    throw new Problem(
      'oidc_no_role',
      `Cannot sign in ${name}: no value of the claim "${config.OIDC_ROLE_CLAIM}" stands for a role in OIDC_ROLES`,
    );
  const organization = await organizationNamed(store.sql, grant.organization);
  if (organization === undefined || organization.disabledAt !== null)
    throw new Problem(
      'oidc_no_role',
      `Cannot sign in ${name}: the organization "${grant.organization}" of OIDC_ROLES does not exist or is disabled`,
    );
  const actor = { organizationId: organization.id, role: grant.role, kind: 'user', id: `${issuer} ${subject}`, name, email } as const;
  return { actor, by: 'oidc', notAfter: null };
}

/** Redirects to the address that `work` returns, and after a failure to the page for signing in. Failures of the sender are counted. */
async function leadingBack(deps: Deps, c: Context<Env>, work: () => Promise<string>): Promise<Response> {
  c.header('cache-control', 'no-store');
  try {
    return c.redirect(await work(), 302);
  } catch (error) {
    if (!(error instanceof Problem) || !error.code.startsWith('oidc_')) throw error;
    logOf(c).warn({ code: error.code, err: error }, error.message);
    if (!isProblem(error, 'oidc_unavailable')) deps.limits.refusal.take(senderOf(c, deps.config.TRUST_PROXY));
    return c.redirect(pageAt(deps, `/login?error=${error.code}`), 302);
  }
}

function providerOf({ identityProvider }: Deps): IdentityProvider {
  if (identityProvider === null) throw notFound('identity provider', 'OIDC_ISSUER');
  return identityProvider;
}

function attemptOf({ box, config }: Deps, c: Context<Env>): Attempt | undefined {
  const sealed = readCookie(c.env.incoming, ATTEMPT_COOKIE, config);
  if (sealed === undefined || sealed === '') return undefined;
  try {
    const attempt = Attempt.parse(JSON.parse(box.open(sealed, CONTEXT)));
    return Date.now() - attempt.startedAt < ATTEMPT_SECONDS * 1000 ? attempt : undefined;
  } catch (error) {
    if (isProblem(error, 'secret_unreadable')) return undefined;
    throw error;
  }
}

function setAttempt({ config }: Deps, c: Context<Env>, value: string, maxAgeSeconds: number): void {
  const cookie = { name: ATTEMPT_COOKIE, value, maxAgeSeconds, sameSite: 'Lax' } as const;
  c.header('set-cookie', cookieText(c.env.incoming, config, cookie), { append: true });
}

function pageAt({ config }: Deps, path: string): string {
  return `${config.PUBLIC_URL ?? ''}${path}`;
}

/** A path of ours, never an address elsewhere: browsers read `//` and `/\` as the beginning of a host. */
function ownPath(next: string | undefined): string {
  return next !== undefined && /^\/(?![/\\])[\x21-\x7e]{0,500}$/.test(next) && !next.includes('\\') ? next : '/';
}

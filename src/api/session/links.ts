import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { hashToken, mintToken } from '../../crypto/tokens.ts';
import { Problem } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, json, problems } from '../../http/kit.ts';
import { mayActAs, ROLES } from '../../organization/organization.ts';
import { insertLink } from '../../session/store.ts';
import { callerOf, mount, operation, role } from '../env.ts';

type Deps = { store: Store; publicUrl(): string };

/** Links that sign a browser in once. */
export const sessionLinkRoutes = (deps: Deps) => mount(create(deps));

const NewLink = z
  .strictObject({
    role: z.enum(ROLES).optional().openapi({ description: 'Role of the session: at most the own role, which is the default' }),
  })
  .openapi('NewSessionLink');
const Link = z
  .object({
    url: z.url().openapi({ description: 'The code stands behind the #, so that no server and no log sees it' }),
    code: z.string().openapi({ description: 'For POST /session; shown only once' }),
    role: z.enum(ROLES),
    expiresAt: z.iso.datetime(),
  })
  .openapi('SessionLink');

const create = ({ store, publicUrl }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/session-links',
      tags: ['Sign in'],
      middleware: [role('viewer')] as const,
      description: 'The session acts for the caller. It ends with the token or session that made the link.',
      request: { body: body(NewLink) },
      responses: { 201: json(Link, 'A link that signs in once, within ten minutes'), ...problems },
    }),
    async (c) => {
      const [actor, session] = [c.get('actor'), c.get('session')];
      const wanted = c.req.valid('json').role ?? actor.role;
      if (!mayActAs(actor.role, wanted))
        throw new Problem(
          'forbidden',
          `Cannot make a link with the role "${wanted}": must be at most "${actor.role}", the caller's own role`,
        );
      const code = mintToken('link');
      const entry = { action: 'session_link.create', subject: `${actor.kind}:${actor.id}`, detail: { role: wanted } };
      const { expiresAt } = await audited(callerOf(c), store, entry, ({ tx }) =>
        insertLink(tx, { hash: hashToken(code), actor, role: wanted, sessionExpiresAt: session?.expiresAt ?? null }),
      );
      return c.json({ url: `${publicUrl()}/login#code=${code}`, code, role: wanted, expiresAt: expiresAt.toISOString() }, 201);
    },
  );

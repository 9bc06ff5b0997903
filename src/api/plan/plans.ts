import { createRoute, z } from '@hono/zod-openapi';
import { Problem } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { decodeNumberCursor, PageQuery, problems } from '../../http/kit.ts';
import { computePlan, type Plan } from '../../plan/compute.ts';
import { renderMarkdown, renderText } from '../../plan/post/render.ts';
import { viewPlan } from '../../plan/post/view.ts';
import { listMergeRequests } from '../../plan/store.ts';
import type { PrepareDeps } from '../../prepare/prepare-commit.ts';
import { asAnswer, oneAtATime, resolveAtRemote } from '../../preview/preview.ts';
import type { Source } from '../../source/source.ts';
import { mount, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { findSource } from '../source/find.ts';
import { MergeRequestView, PlanSchema, viewMergeRequest } from './schemas.ts';

type Deps = { store: Store };
/** A plan prepares a commit, as a check of the source does. */
type PlanDeps = PrepareDeps;

/** Plans: the effect of a commit before its merge. */
export const planRoutes = (deps: PlanDeps) => mount(plan(deps), listOfSource(deps));

const FORMATS = ['json', 'text', 'markdown'] as const;
type Format = (typeof FORMATS)[number];
const MEDIA_TYPES = { json: 'application/json', text: 'text/plain', markdown: 'text/markdown' } as const satisfies Record<Format, string>;

const Query = z.object({
  ref: z.string().min(1).max(255).optional().openapi({ description: 'Branch, tag or commit; default: the ref that the source follows' }),
  format: z.enum(FORMATS).optional().openapi({ description: 'Default: the type in Accept, else JSON' }),
});

const tags = ['Sources'];
const params = z.object({ id: z.uuid() });

const plan = (deps: PlanDeps) => {
  const alone = oneAtATime();
  return operation(
    createRoute({
      method: 'post',
      path: '/sources/{id}/plan',
      tags,
      description: 'Lists the devices that a ref would change as the new head, with their waves and blockers. Stores nothing.',
      middleware: [role('viewer')] as const,
      request: { params, query: Query },
      responses: {
        200: {
          description: 'The plan; secrets are not shown',
          content: {
            'application/json': { schema: PlanSchema },
            'text/plain': { schema: z.string() },
            'text/markdown': { schema: z.string() },
          },
        },
        ...problems,
        502: { ...problems[503], description: 'The Git host fails' },
      },
    }),
    async (c) => {
      const { ref, format = accepted(c.req.header('accept')) } = c.req.valid('query');
      const source = await findSource(deps.store.sql, c.get('actor').organizationId, c.req.valid('param').id);
      const view = viewPlan(await planOf(deps, alone, source, ref ?? source.ref, c.req.raw.signal));
      if (format === 'json') return c.json(view, 200);
      const text = format === 'text' ? renderText(view) : renderMarkdown(view);
      return c.body(text, 200, { 'content-type': `${MEDIA_TYPES[format]}; charset=utf-8` });
    },
  );
};

const listOfSource = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/sources/{id}/merge-requests',
      tags,
      role: 'viewer',
      request: { params, query: PageQuery },
      item: MergeRequestView,
      description: 'Merge requests into the branch that it follows, newest number first',
    }),
    async (c) => {
      const source = await findSource(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const answer = await readPage(c.req.valid('query'), {
        after: decodeNumberCursor,
        rows: (after, limit) => listMergeRequests(sql, source, after, limit),
        key: ({ number }) => number,
        view: viewMergeRequest,
      });
      return c.json(answer, 200);
    },
  );

async function planOf(
  deps: PlanDeps,
  alone: ReturnType<typeof oneAtATime>,
  source: Source,
  ref: string,
  signal: AbortSignal,
): Promise<Plan> {
  try {
    const head = await resolveAtRemote(deps, source, ref);
    // Each mirror has one writer: neither the source's own mirror nor that of previews is free.
    const options = { mirror: `${source.id}.plan`, now: new Date(), signal };
    return await alone(source.id, () => computePlan(deps, source, head, options));
  } catch (error) {
    throw error instanceof Problem ? asAnswer(error) : error;
  }
}

/** The first media type of the header that a plan has. */
function accepted(accept = ''): Format {
  const types = accept.split(',').map((part) => part.split(';')[0]?.trim().toLowerCase());
  for (const type of types) {
    const format = FORMATS.find((candidate) => MEDIA_TYPES[candidate] === type);
    if (format !== undefined) return format;
  }
  return 'json';
}

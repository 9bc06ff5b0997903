import { createRoute, z } from '@hono/zod-openapi';
import { notFound, Problem } from '../../errors.ts';
import { decodeNumberCursor, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { computePlan, type Plan } from '../../plan/compute.ts';
import { renderMarkdown, renderText } from '../../plan/post/render.ts';
import { viewPlan } from '../../plan/post/view.ts';
import { listMergeRequests } from '../../plan/store.ts';
import { asAnswer, oneAtATime, resolveAtRemote } from '../../preview/preview.ts';
import type { Source } from '../../source/source.ts';
import { sourceOf } from '../../source/store.ts';
import { createApi, role } from '../env.ts';
import type { Services } from '../services.ts';
import { MergeRequestView, PlanSchema, viewMergeRequest } from './schemas.ts';

const FORMATS = ['json', 'text', 'markdown'] as const;
type Format = (typeof FORMATS)[number];
const MEDIA_TYPES = { json: 'application/json', text: 'text/plain', markdown: 'text/markdown' } as const satisfies Record<Format, string>;

const Query = z.object({
  ref: z.string().min(1).max(255).optional().openapi({ description: 'Branch, tag or commit; default: the one that the source follows' }),
  format: z.enum(FORMATS).optional().openapi({ description: 'Default: as Accept says, else JSON' }),
});

const tags = ['Sources'];
const params = z.object({ id: z.uuid() });

/** What a commit would do, before it is merged. */
export function planRoutes(services: Services) {
  const { sql } = services.store;
  const alone = oneAtATime();
  const find = async (organizationId: string, id: string): Promise<Source> => {
    const source = await sourceOf(sql, organizationId, id);
    if (source === undefined) throw notFound('source', id);
    return source;
  };
  const planOf = async (source: Source, ref: string, signal: AbortSignal): Promise<Plan> => {
    try {
      const head = await resolveAtRemote(services, source, ref);
      // Neither the source's own mirror nor that of previews: each has one writer.
      const options = { mirror: `${source.id}.plan`, now: new Date(), signal };
      return await alone(source.id, () => computePlan(services, source, head, options));
    } catch (error) {
      throw error instanceof Problem ? asAnswer(error) : error;
    }
  };
  return createApi()
    .openapi(
      createRoute({
        method: 'post',
        path: '/sources/{id}/plan',
        tags,
        description: 'Which devices a ref would change if it became the head, in which waves, and what would hold it up. Stores nothing.',
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
          502: { ...problems[503], description: 'The git host fails' },
        },
      }),
      async (c) => {
        const { ref, format = accepted(c.req.header('accept')) } = c.req.valid('query');
        const source = await find(c.get('actor').organizationId, c.req.valid('param').id);
        const plan = viewPlan(await planOf(source, ref ?? source.ref, c.req.raw.signal));
        if (format === 'json') return c.json(plan, 200);
        const text = format === 'text' ? renderText(plan) : renderMarkdown(plan);
        return c.body(text, 200, { 'content-type': `${MEDIA_TYPES[format]}; charset=utf-8` });
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/sources/{id}/merge-requests',
        tags,
        middleware: [role('viewer')] as const,
        request: { params, query: PageQuery },
        responses: {
          200: json(page(MergeRequestView), 'Merge requests into the branch that it follows, newest number first'),
          ...problems,
        },
      }),
      async (c) => {
        const { limit, cursor } = c.req.valid('query');
        const source = await find(c.get('actor').organizationId, c.req.valid('param').id);
        const rows = await listMergeRequests(sql, source, decodeNumberCursor(cursor), limit + 1);
        return c.json(
          toPage(rows, limit, ({ number }) => number, viewMergeRequest),
          200,
        );
      },
    );
}

/** The first of ours in the header. */
function accepted(accept = ''): Format {
  const types = accept.split(',').map((part) => part.split(';')[0]?.trim().toLowerCase());
  for (const type of types) {
    const format = FORMATS.find((candidate) => MEDIA_TYPES[candidate] === type);
    if (format !== undefined) return format;
  }
  return 'json';
}

import { createRoute, z } from '@hono/zod-openapi';
import { bundleSecrets } from '../../bundle/store.ts';
import { notFound } from '../../errors.ts';
import { isProblem } from '../../git/problems.ts';
import { json, problems } from '../../http/kit.ts';
import type { PrepareDeps } from '../../prepare/prepare-commit.ts';
import { readFileOfCommit } from '../../prepare/read-commit.ts';
import { excerptOf } from '../../preview/excerpt.ts';
import { asAnswer, oneAtATime } from '../../preview/preview.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { pathsOfRevision, revisionOf, sourcePath } from '../../revision/store.ts';
import { mount, operation, role } from '../env.ts';
import { findSource } from './find.ts';
import { ConfigErrorView } from './schemas.ts';

/** A file of a revision as it stands in the repository, with its errors. */
export const revisionFileRoutes = (deps: PrepareDeps) => mount(show(deps));

const FileView = z
  .object({
    revisionId: z.string(),
    commit: z.string(),
    path: z.string(),
    content: z
      .enum(['text', 'masked', 'binary', 'too_large'])
      .openapi({ description: 'masked: the file cannot be parsed, so that values are hidden' }),
    first: z.number().int().openapi({ description: 'Number of the first line that is shown' }),
    lines: z.array(z.string()),
    total: z.number().int().openapi({ description: 'Number of lines of the file' }),
    errors: z.array(ConfigErrorView),
  })
  .openapi('RevisionFile');

const Query = z.object({
  path: z.string().max(1024).default('').openapi({ description: 'Path of the file in the repository' }),
  line: z.coerce.number().int().min(1).max(10_000_000).default(1).openapi({ description: 'Ten lines before and after it are shown' }),
});

/** Folders of the revision whose errors are searched. */
const MAX_FOLDERS = 1_000;

const show = (deps: PrepareDeps) => {
  const { sql } = deps.store;
  const alone = oneAtATime();
  return operation(
    createRoute({
      method: 'get',
      path: '/revisions/{id}/file',
      tags: ['Sources'],
      middleware: [role('viewer')] as const,
      request: { params: z.object({ id: z.uuid() }), query: Query },
      responses: {
        200: json(FileView, 'Lines of the file with the errors in it; secrets are not shown'),
        ...problems,
        502: { ...problems[503], description: 'The Git host fails' },
      },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { id } = c.req.valid('param');
      const { path, line } = c.req.valid('query');
      const revision = await revisionOf(sql, organizationId, id);
      if (revision === undefined) throw notFound('revision', id);
      if (path === '') throw notFound('file', path);
      const source = await findSource(sql, organizationId, revision.sourceId);
      const wanted = { commit: revision.commit, ref: revision.ref, file: path };
      const found = await alone(source.id, () => readFileOfCommit(deps, source, wanted, `${source.id}.file`)).catch((error: unknown) => {
        throw isProblem(error) ? asAnswer(error) : error;
      });
      if (found.is === 'missing') throw notFound('file', path);
      const folders = await pathsOfRevision(sql, organizationId, id, MAX_FOLDERS);
      const errors = [...revision.errors, ...folders.flatMap((folder) => folder.errors)].filter(({ file }) => file === path);
      const base = { revisionId: id, commit: revision.commit, path, errors };
      if (found.is === 'too_large') return c.json({ ...base, content: 'too_large' as const, first: 0, lines: [], total: 0 }, 200);
      const folder = folders.map((each) => each.path).find((each) => each === '' || path.startsWith(`${each}/`));
      const current = folder === undefined ? undefined : await sourcePath(sql, organizationId, source.id, folder);
      const digest = current?.candidate ?? current?.bundle ?? null;
      const marked = digest === null ? {} : await bundleSecrets(sql, organizationId, digest);
      return c.json({ ...base, ...excerptOf(found.bytes, path, line, [...Object.values(marked).flat(), ...hiddenIn(errors)]) }, 200);
    },
  );
};

/** Places whose error shows no value, because it is a secret. */
function hiddenIn(errors: readonly ConfigError[]): string[] {
  return errors.filter(({ pointer, actual }) => pointer !== '' && actual === undefined).map(({ pointer }) => pointer);
}

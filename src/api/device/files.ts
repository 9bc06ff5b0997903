import { createRoute, z } from '@hono/zod-openapi';
import { notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { json, problems } from '../../http/kit.ts';
import { type BlamedLine, blameFile, deviceFiles } from '../../preview/device-files.ts';
import { mount, operation, role } from '../env.ts';
import { DeviceParams, findDevice } from './find.ts';

type Deps = { store: Store };

/** The files of a device as this service stores them, without a request to a Git host. */
export const deviceFileRoutes = (deps: Deps) => mount(showFiles(deps), showBlame(deps));

const time = z.iso.datetime();
const FileView = z.object({
  path: z.string(),
  mode: z.string(),
  size: z.number().int(),
  content: z.enum(['text', 'binary', 'too_large']),
  text: z.string().nullable(),
});

const Files = z
  .object({
    desired: z.object({ bundle: z.string().nullable(), revisionId: z.string().nullable(), files: z.array(FileView) }),
    running: z.object({ bundle: z.string().nullable(), files: z.array(FileView) }),
    diff: z.array(
      z.object({
        path: z.string(),
        change: z.enum(['added', 'removed', 'changed']),
        patch: z.string().nullable(),
        note: z.string().nullable(),
      }),
    ),
    truncated: z.boolean().openapi({ description: 'Not all files are shown' }),
  })
  .openapi('DeviceFiles');

const Blame = z
  .object({
    path: z.string(),
    bundle: z.string(),
    commits: z.array(
      z.object({
        revisionId: z.string(),
        commit: z.string(),
        author: z.object({ name: z.string(), email: z.string() }),
        message: z.string(),
        committedAt: time,
      }),
    ),
    lines: z.array(
      z.object({
        text: z.string(),
        commit: z.number().int().nullable().openapi({ description: 'Index in `commits`; null: older than `olderThan`' }),
      }),
    ),
    olderThan: time.nullable(),
    truncated: z.boolean().openapi({ description: 'Older commits are known that were not compared' }),
  })
  .openapi('FileBlame');

const tags = ['Devices'];

const showFiles = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}/files',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: DeviceParams },
      responses: { 200: json(Files, 'Its desired and running files, and their differences; secrets are not shown'), ...problems },
    }),
    async (c) => c.json(await deviceFiles(sql, await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id)), 200),
  );

const showBlame = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}/files/blame',
      tags,
      middleware: [role('viewer')] as const,
      request: {
        params: DeviceParams,
        query: z.object({ path: z.string().max(1024).default('').openapi({ description: 'Path of the file on the device' }) }),
      },
      responses: {
        200: json(Blame, 'The commit that last changed each line of a desired file, among the commits that the service followed'),
        ...problems,
      },
    }),
    async (c) => {
      const device = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const { path } = c.req.valid('query');
      const blame = await blameFile(sql, device, path);
      if (blame === undefined) throw notFound('file', path);
      const { lines, olderThan, ...rest } = blame;
      return c.json({ ...rest, ...viewLines(lines), olderThan: olderThan?.toISOString() ?? null }, 200);
    },
  );

/** Each commit once: a file of thousands of lines has few. */
function viewLines(lines: readonly BlamedLine[]): Pick<z.output<typeof Blame>, 'commits' | 'lines'> {
  const known = [...new Set(lines.flatMap(({ by }) => by ?? []))];
  const index = new Map(known.map((by, at) => [by, at]));
  return {
    commits: known.map(({ revisionId, commit, authorName, authorEmail, message, committedAt }) => ({
      ...{ revisionId, commit, message, author: { name: authorName, email: authorEmail } },
      committedAt: committedAt.toISOString(),
    })),
    lines: lines.map(({ text, by }) => ({ text, commit: by === null ? null : (index.get(by) ?? null) })),
  };
}

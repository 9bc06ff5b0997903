import { z } from '@hono/zod-openapi';
import { listBackups } from '../../backup/store.ts';
import { listCommands } from '../../command/store.ts';
import { listDeployments } from '../../deployment/store.ts';
import { viewEvent } from '../../event/event.ts';
import { eventsOfSubject } from '../../event/store.ts';
import type { Store } from '../../event/transact.ts';
import { decodeIdCursor, decodeNumberCursor, PageQuery } from '../../http/kit.ts';
import { mount, operation } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { EventView } from '../organization/event-schemas.ts';
import { DeviceParams, findDevice } from './find.ts';
import { CommandView, DeploymentView, viewCommand, viewDeployment } from './schemas.ts';

type Deps = { store: Store };

/** The lists of one device, newest first. */
export const deviceHistoryRoutes = (deps: Deps) => mount(deployments(deps), backups(deps), commands(deps), events(deps));

const time = z.iso.datetime();
const Backup = z
  .object({
    id: z.string(),
    bundle: z.string().nullable(),
    revisionId: z.string().nullable(),
    reportedBundle: z.string().nullable(),
    deploymentId: z.string().nullable(),
    createdAt: time,
  })
  .openapi('Backup');
const deployments = ({ store: { sql } }: Deps) =>
  operation(listOfDevice('deployments', DeploymentView), async (c) => {
    const { organizationId, id } = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
    const answer = await readPage(c.req.valid('query'), {
      after: decodeIdCursor,
      rows: (after, limit) => listDeployments(sql, organizationId, id, after, limit),
      key: (row) => row.id,
      view: viewDeployment,
    });
    return c.json(answer, 200);
  });

/** All of them in one page: a device has few. */
const backups = ({ store: { sql } }: Deps) =>
  operation(listOfDevice('backups', Backup), async (c) => {
    const { organizationId, id } = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
    const rows = await listBackups(sql, organizationId, id);
    const items = rows.map(({ deviceId: _deviceId, createdAt, ...row }) => ({ ...row, createdAt: createdAt.toISOString() }));
    return c.json({ items, nextCursor: null }, 200);
  });

const commands = ({ store: { sql } }: Deps) =>
  operation(listOfDevice('commands', CommandView), async (c) => {
    const { organizationId, id } = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
    const answer = await readPage(c.req.valid('query'), {
      after: decodeIdCursor,
      rows: (after, limit) => listCommands(sql, organizationId, id, after, limit),
      key: (row) => row.id,
      view: viewCommand,
    });
    return c.json(answer, 200);
  });

const events = ({ store: { sql } }: Deps) =>
  operation(listOfDevice('events', EventView), async (c) => {
    const { organizationId, id } = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
    const answer = await readPage(c.req.valid('query'), {
      after: decodeNumberCursor,
      rows: (after, limit) => eventsOfSubject(sql, organizationId, `device:${id}`, after, limit),
      key: (row) => row.cursor,
      view: viewEvent,
    });
    return c.json(answer, 200);
  });

function listOfDevice<const Name extends string, Item extends z.ZodType>(name: Name, item: Item) {
  return listRoute({
    path: `/devices/{id}/${name}`,
    tags: ['Devices'],
    role: 'viewer',
    request: { params: DeviceParams, query: PageQuery },
    item,
    description: `Its ${name}, newest first`,
  });
}

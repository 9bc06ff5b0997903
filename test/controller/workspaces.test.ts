import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createBulkhead } from '../../controller/reconcile/bulkhead.ts';
import { reconcileSource } from '../../controller/reconcile/source.ts';
import { reconcileWorkspaces } from '../../controller/reconcile/workspace.ts';
import { openGitHost } from '../support/git-host.ts';
import { folder } from '../support/scene.ts';
import { openService } from '../support/service.ts';

test('a process that is about to stop begins no further workspace; the next process continues', async () => {
  // The API alone: the test does the work of the controller.
  await using service = await openService({ ROLE: 'api' });
  const host = await openGitHost();
  try {
    const url = await host.createRepository('a');
    await host.commit('a', folder({ vlan: 1 }));
    const { id: sourceId } = (await service.api('POST', '/sources', { name: 'a', url, layout: 'repo', pollIntervalSeconds: 3600 })).body;
    expect((await service.api('POST', '/devices', { id: 'a', sourceId })).status).toBe(201);
    const { services } = service.app;
    const { sql } = service.database;
    await reconcileSource(services, createBulkhead({ workers: 2, slowAtOnce: 1 }), sourceId);
    const [row] = await sql<{ organizationId: string; workspace: string | null; bundle: string }[]>`
      update devices set good_bundle = (select digest from bundles) returning organization_id as "organizationId", good_bundle as bundle, workspace`;
    expect(row?.bundle).toMatch(/^[0-9a-f]{64}$/);
    const organizationId = row?.organizationId ?? '';
    const written = () => readdir(join(service.dataDir, 'workspaces'));

    await reconcileWorkspaces(services, organizationId, AbortSignal.abort());
    expect(await written()).toEqual([]);
    await reconcileWorkspaces(services, organizationId, new AbortController().signal);
    expect(await written()).toHaveLength(1);
    expect(await sql`select workspace_bundle as bundle from devices`).toEqual([{ bundle: row?.bundle }]);
  } finally {
    await host.close();
  }
});

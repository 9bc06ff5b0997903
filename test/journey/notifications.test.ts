import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openService as openProcess } from '../crash/service.ts';
import { openReceiver, type Posted } from '../notification/receiver.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

type Delivery = { state: string };

const typesOf = (posts: readonly Posted[]) => posts.map(({ body }) => JSON.parse(body).type as string);
const idsOf = (posts: readonly Posted[]) => posts.map(({ headers }) => headers['webhook-id']);

test('a team hears of a push in its chat, and its on-call only when something goes wrong', async () => {
  await using chat = await openReceiver();
  await using onCall = await openReceiver();
  await using scene = await openScene();
  await scene.api('POST', '/notifications', { name: 'chat', url: chat.url, format: 'slack', events: ['rollout.*', 'revision.*'] });
  await scene.api('POST', '/notifications', { name: 'on-call', url: onCall.url, events: ['*'], minimumSeverity: 'error' });
  const source = await scene.source('till');
  const device = await scene.device('till-7', source.id);
  device.start();
  const good = await scene.push('till', source, folder({ vlan: 1 }));
  await scene.converged('till-7', good);
  const said = () => chat.posts.map(({ body }) => JSON.parse(body).text as string);
  await eventually('the chat hears of the end', async () => said().some((text) => /Rollout of till .*is complete/.test(text)));
  expect(said()[0]).toMatch(new RegExp(`^:large_blue_circle: Commit ${good.slice(0, 10)} of till is valid`));
  expect(onCall.posts).toEqual([]);
  const bad = await scene.push('till', source, folder({ vlan: 5000 }));
  await eventually('the on-call is told', async () => onCall.posts.length === 1);
  expect(JSON.parse(onCall.posts[0]?.body ?? '')).toMatchObject({
    specversion: '1.0',
    type: 'bellwether.revision.rejected',
    severitytext: 'ERROR',
    data: { commit: bad, errors: [expect.stringContaining('/vlan is 5000, must be <= 4094')] },
  });
  expect(onCall.posts[0]?.headers['content-type']).toBe('application/cloudevents+json; charset=utf-8');
  await eventually('so is the chat', async () => said().some((text) => text.includes('/vlan is 5000, must be &lt;= 4094')));
});

test('kill -9 of the service while it posts loses nothing: what was on its way is posted again under the same id, the rest follows in order', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'bellwether-notifications-'));
  // As root, the database's account must be able to pass through.
  await chmod(dir, 0o711);
  await using receiver = await openReceiver();
  const service = await openProcess(dir);
  try {
    await service.start();
    const settings = { name: 'all', url: receiver.url, format: 'json', events: ['device.registered', 'device.held', 'device.released'] };
    const { id } = await service.api<{ id: string }>('POST', '/notifications', settings);
    await service.api('POST', '/devices', { id: 'till-7' });
    await eventually(
      'the first is taken',
      async () => (await service.list<Delivery>(`/notifications/${id}/deliveries`))[0]?.state === 'delivered',
    );
    receiver.always('hang');
    await service.api('POST', '/devices/till-7/hold', {});
    await eventually('the second is on its way', async () => receiver.posts.length === 2);
    await service.api('DELETE', '/devices/till-7/hold');
    await service.kill();
    receiver.always({ status: 200 });
    await service.start();
    await eventually('all are taken', async () => {
      const deliveries = await service.list<Delivery>(`/notifications/${id}/deliveries`);
      return deliveries.length === 3 && deliveries.every((delivery) => delivery.state === 'delivered');
    });
    expect(typesOf(receiver.posts)).toEqual(['device.registered', 'device.held', 'device.held', 'device.released']);
    const [first, second, third, fourth] = idsOf(receiver.posts);
    expect(third).toBe(second);
    expect(new Set([first, second, fourth]).size).toBe(3);
  } finally {
    await service.close();
    await rm(dir, { recursive: true, force: true });
  }
});

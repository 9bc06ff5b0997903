import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

let scene: Awaited<ReturnType<typeof openScene>>;

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene[Symbol.asyncDispose]());

/** A registered device that speaks the protocol itself. */
async function pollingDevice(id: string, sourceId?: string) {
  const { apiKey } = (await scene.api('POST', '/devices', { id, sourceId })).body;
  const headers = { 'x-device-id': id, 'x-api-key': apiKey };
  const poll = async (known?: string) => {
    const answer = await fetch(`${scene.service.url}/agent/v1/desired?wait=${known === undefined ? 0 : 55}`, {
      headers: known === undefined ? headers : { ...headers, 'if-none-match': known },
    });
    const text = await answer.text();
    return { etag: answer.headers.get('etag') ?? '', desired: text === '' ? null : decodeJwt<{ deploymentId: string | null }>(text) };
  };
  const report = async (deploymentId: string, state: string) => {
    const reports = [
      { kind: 'deployment', id: crypto.randomUUID(), at: new Date().toISOString(), deploymentId, state, runningDigest: null },
    ];
    const body = JSON.stringify({ reports });
    const answer = await fetch(`${scene.service.url}/agent/v1/reports`, {
      ...{ method: 'POST', body },
      headers: { ...headers, 'content-type': 'application/json' },
    });
    return answer.status;
  };
  return { poll, report };
}

test('while as many devices are at work as may be, the next waits for its turn, whatever it asks; commands to others come through', async () => {
  const { admission } = scene.service.app.services;
  const source = await scene.source('till');
  const till = await pollingDevice('till', source.id);
  const idle = await pollingDevice('idle');
  const { etag: knownByIdle } = await idle.poll();
  const { etag } = await till.poll();

  const busy = Promise.withResolvers<void>();
  const crowd: { organizationId: string; deviceId: string }[] = [];
  for (let n = 0; admission.counts().waiting === 0; n++) {
    const device = { organizationId: 'another', deviceId: String(n) };
    crowd.push(device);
    if (admission.admit(device, 'crowd', () => undefined)) void admission.serve(device, () => busy.promise);
  }
  const told = till.poll(etag);
  await scene.push('till', source, { 'app.txt': 'one' });
  await eventually('the till waits for its turn', async () => admission.counts().waiting === 2);

  const pinged = idle.poll(knownByIdle);
  await scene.api('POST', '/devices/idle/commands', { type: 'ping' });
  expect((await pinged).desired).toMatchObject({ deploymentId: null });

  // One makes room for the other that waited before, and one for the till.
  for (const device of crowd.slice(0, 2)) admission.release(device);
  const { desired } = await told;
  expect(desired?.deploymentId).toEqual(expect.any(String));
  const atWork = admission.counts();
  expect(atWork.waiting).toBe(0);

  const deploymentId = desired?.deploymentId ?? '';
  for (const state of ['delivering', 'applying', 'confirming']) expect(await till.report(deploymentId, state)).toBe(200);
  expect(admission.counts()).toEqual(atWork);
  expect(await till.report(deploymentId, 'succeeded')).toBe(200);
  expect(admission.counts()).toEqual({ atWork: atWork.atWork - 1, waiting: 0 });
  busy.resolve();
});

import { expect, test } from 'vitest';
import { eventually } from '../support/service.ts';
import { type Outage, openOutageScene, requests } from './outage-scene.ts';

test.each<Outage>(['stopped', 'frozen'])(
  'while the database is %s, requests are answered 503, devices go on, and what was accepted before is done afterwards',
  { timeout: 240_000 },
  async (outage) => {
    await using scene = await openOutageScene();
    const { ask, service, postHook } = scene;
    expect((await postHook(await scene.commit(1))).status).toBe(202);
    await eventually('the device runs the first commit', () => scene.isSettled(1), 240_000);

    const accepted = await scene.commit(2);
    expect((await postHook(accepted)).status).toBe(202);
    await scene.takeAway(outage);
    const ready = await eventually('the service is unavailable', async () => {
      const answer = await ask('/health/ready');
      return answer.status === 503 ? answer : undefined;
    });
    expect(ready.headers.get('retry-after')).toBe('5');
    expect(await ready.json()).toMatchObject({ status: 'unavailable', dependencies: { database: { ok: false }, queue: { ok: false } } });
    for (const [what, send] of requests(scene)) {
      const answer = await send();
      expect(answer.status, what).toBe(503);
      expect(answer.headers.get('content-type'), what).toBe('application/problem+json');
      expect(Number(answer.headers.get('retry-after')), what).toBeGreaterThan(0);
      expect(await answer.json(), what).toMatchObject({ status: 503, code: 'unavailable' });
    }
    expect((await ask('/health/live')).status).toBe(200);
    const metric = async () => (await (await ask('/metrics')).text()).match(/^bellwether_database_up (.)$/m)?.[1];
    await eventually('the metric falls', async () => (await metric()) === '0');
    expect([scene.agent.child.exitCode, await scene.runs(1)]).toEqual([null, true]);

    await scene.bringBack(outage);
    await eventually('the service is ready again', async () => (await ask('/health/ready')).status === 200);
    await eventually('the accepted push has its effect', () => scene.runs(2), 240_000);
    // Notifications only: the device's poll lasts a minute, and the source's interval an hour.
    for (const vlan of [3, 4]) {
      expect((await postHook(await scene.commit(vlan))).status).toBe(202);
      await eventually(`the device follows to ${vlan}`, () => scene.runs(vlan));
    }
    const logged = (message: string) => scene.lines.filter(({ msg }) => String(msg).startsWith(message)).length;
    expect([logged('database unavailable; requests are answered 503 until it answers'), logged('database available again')]).toEqual([
      1, 1,
    ]);
    const complaints = scene.lines.filter(({ level }) => level === 'error' || level === 'fatal').map(({ msg }) => msg);
    expect(complaints.length, JSON.stringify(complaints)).toBeLessThan(10);
    process.kill(service.pid, 'SIGTERM');
    expect(await service.ended).toBe(0);
  },
);

test.each<Outage>(['stopped', 'frozen'])('the service ends in time when it is asked to while the database is %s', async (outage) => {
  await using scene = await openOutageScene();
  await scene.takeAway(outage);
  await eventually('the service is unavailable', async () => (await scene.ask('/health/ready')).status === 503);
  process.kill(scene.service.pid, 'SIGTERM');
  // By itself, within its own limit: what waits for the database cannot always be waited for.
  expect([0, 1]).toContain(await scene.service.ended);
  expect(scene.lines.map(({ msg }) => msg)).toContain('stopping');
  await scene.bringBack(outage);
});

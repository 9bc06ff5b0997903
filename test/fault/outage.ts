import { parseArgs } from 'node:util';
import { eventually } from '../support/service.ts';
import { type Outage, openOutageScene, requests } from './outage-scene.ts';

/**
 * The long form of the test of a database outage: `node test/fault/outage.ts --seconds 60`. It stops and freezes the database for that long, and
 * sends every request once a second meanwhile. It prints one line of JSON last; the exit code is 1 after any broken promise.
 */
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } });
const lastsMs = Number(values.seconds) * 1000;

const outcomes: Record<string, unknown>[] = [];
const violations: string[] = [];
for (const outage of ['stopped', 'frozen'] as const) outcomes.push(await liveThrough(outage));
process.stdout.write(`${JSON.stringify({ seconds: lastsMs / 1000, outcomes, violations })}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;

async function liveThrough(outage: Outage): Promise<Record<string, unknown>> {
  await using scene = await openOutageScene();
  const { ask, postHook } = scene;
  const must = (holds: boolean, violation: string) => {
    if (!holds && !violations.includes(`${outage}: ${violation}`)) violations.push(`${outage}: ${violation}`);
  };
  must((await postHook(await scene.commit(1))).status === 202, 'the service does not accept the first hook');
  await eventually('the device runs the first commit', () => scene.isSettled(1), 60_000);
  must((await postHook(await scene.commit(2))).status === 202, 'the service does not accept the hook before the outage');
  await scene.takeAway(outage);
  const started = performance.now();
  await eventually('the service is unavailable', async () => (await ask('/health/ready')).status === 503);
  const noticedMs = elapsed(started);
  let asked = 0;
  let slowestMs = 0;
  while (performance.now() - started < lastsMs) {
    for (const [what, send] of requests(scene)) {
      const sent = performance.now();
      const answer = await send();
      const body = (await answer.json()) as { code?: string };
      slowestMs = Math.max(slowestMs, elapsed(sent));
      asked += 1;
      must(answer.status === 503 && body.code === 'unavailable', `${what} is answered ${answer.status} ${body.code}`);
      must(answer.headers.has('retry-after'), `${what} is answered without Retry-After`);
    }
    must((await ask('/health/live')).status === 200, 'it is not live');
    must(scene.agent.child.exitCode === null && (await scene.runs(1)), 'the device does not go on');
    await new Promise((done) => setTimeout(done, 1_000));
  }
  await scene.bringBack(outage);
  const back = performance.now();
  await eventually('the service is ready again', async () => (await ask('/health/ready')).status === 200);
  const readyMs = elapsed(back);
  await eventually('the accepted push has its effect', () => scene.runs(2), 90_000);
  const acceptedDoneMs = elapsed(back);
  const pushed = performance.now();
  must((await postHook(await scene.commit(3))).status === 202, 'the service does not accept a hook after the outage');
  await eventually('the device follows', () => scene.runs(3), 90_000);
  const nextPushMs = elapsed(pushed);
  const complaints = scene.lines.filter(({ level }) => level === 'error' || level === 'fatal').length;
  must(complaints < 20, `its log has ${complaints} errors`);
  process.kill(scene.service.pid, 'SIGTERM');
  must((await scene.service.ended) === 0, 'it does not end well');
  return { outage, noticedMs, asked, slowestMs, readyMs, acceptedDoneMs, nextPushMs, complaints };
}

function elapsed(since: number): number {
  return Math.round(performance.now() - since);
}

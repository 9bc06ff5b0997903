import { expect, test } from 'vitest';
import type { Fault, VendorResponse, VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import { isProblem } from '../../src/errors.ts';
import { addDevices, openScene } from './scene.ts';
import { idsOf, type Subject, signal, TIMEOUT_MS, walk } from './subject.ts';

const answers = (response: VendorResponse): Fault['do'] => ({ is: 'answer', response });

export function faultFacts<Server extends VendorServer>(subject: Subject<Server>): void {
  const paths = subject.listPath === undefined ? {} : { path: subject.listPath };

  test('a walk waits as long as the platform asks, and goes on', async () => {
    const { server, platform } = await openScene(subject);
    const ids = addDevices(server, 2);
    server.faults.push({ ...paths, do: answers({ status: 429, headers: { 'retry-after': '1' } }) });
    const begun = performance.now();
    expect(idsOf(await walk(platform)).toSorted()).toEqual(ids.toSorted());
    expect(performance.now() - begun).toBeGreaterThan(990);
  });

  test('a long pause that the platform asks for is reported to the next run', async () => {
    const { server, platform } = await openScene(subject);
    server.faults.push({ ...paths, do: answers({ status: 429, headers: { 'retry-after': '120' } }) });
    const error = await walk(platform).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'integration_rate_limited', retryAfterSeconds: 120 });
    expect(server.requests).toHaveLength(1);
  });

  test.each<[string, Fault['do']]>([
    ['answers 500', answers({ status: 500, body: { message: 'internal' } })],
    ['answers 503', answers({ status: 503 })],
    ['breaks the connection', { is: 'drop' }],
    ['loses its answer', { is: 'lost_answer' }],
  ])('a read is repeated when the platform %s', async (_, fault) => {
    const { server, platform } = await openScene(subject);
    const ids = addDevices(server, 2);
    server.faults.push({ ...paths, do: fault });
    expect(idsOf(await walk(platform)).toSorted()).toEqual(ids.toSorted());
  });

  test('a platform that hangs ends in a timeout', async () => {
    const { server, platform } = await openScene(subject, { timeoutMs: TIMEOUT_MS });
    server.faults.push({ times: 100, do: { is: 'hang' } });
    await expect(walk(platform)).rejects.toMatchObject({ code: 'integration_timeout' });
    expect(server.requests.length).toBeLessThan(10);
  });

  test('a caller that gives up ends the request', async () => {
    const { server, platform } = await openScene(subject);
    const giveUp = new AbortController();
    server.faults.push({ do: { is: 'run', what: () => giveUp.abort(new Error('given up')) } }, { do: { is: 'hang' } });
    await expect(platform.list?.(null, giveUp.signal)).rejects.toThrow('given up');
    expect(signal.aborted).toBe(false);
  });

  test.each([
    [401, 'integration_unauthorized'],
    [403, 'integration_forbidden'],
  ])('status %i is one request and one clear error, without the credentials', async (status, code) => {
    const { server, platform } = await openScene(subject);
    const secrets = Object.values(server.credentials);
    server.faults.push({ times: 100, do: answers({ status, body: { message: `no: ${secrets.join(' ')}` } }) });
    const error = await walk(platform).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, retry: 'never' });
    expect(server.requests).toHaveLength(1);
    for (const secret of secrets) expect(isProblem(error) ? error.message : '').not.toContain(secret);
  });

  test('an answer that is no JSON of the API is named as such', async () => {
    const { server, platform } = await openScene(subject);
    server.faults.push({ ...paths, do: answers({ status: 200, body: '<html>Please log in</html>' }) });
    await expect(walk(platform)).rejects.toMatchObject({ code: 'integration_protocol' });
  });
}

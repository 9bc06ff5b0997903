import { expect, test } from 'vitest';
import { eventually } from '../support/service.ts';
import { openFlock } from './support.ts';

type Cause = { detail: string; place: { commit: string; revisionId: string; file: string; line: number | null } | null };
type Flock = Awaited<ReturnType<typeof openFlock>>;

/** All causes of a rollout, once `count` of them have a place or the answer is final. */
const causesOf = (flock: Flock, rolloutId: string, count: number, withPlace = count) =>
  eventually('causes have their places', async () => {
    const { causes } = (await flock.api('GET', `/attention/causes?rollout=${rolloutId}`)).body as { causes: Cause[] };
    return causes.length === count && causes.filter(({ place }) => place !== null).length === withPlace ? causes : undefined;
  });

test('a cause names the line of the commit: in the file that the failure names, else in the only one that changed', async () => {
  await using flock = await openFlock();
  const source = await flock.source('tills', { rolloutPolicy: { errorBudget: { max: 100 } } });
  const ids = ['anna', 'bert', 'cleo'];
  for (const id of ids) await flock.device(id, { sourceId: source.id });
  const files = (mode: string, port: number) => ({
    'etc/app.json': `{\n  "host": "a.example",\n  "mode": "${mode}"\n}\n`,
    'etc/net.conf': `# network\ndhcp yes\nport ${port}\n`,
  });
  await flock.push(source, files('card', 80));
  for (const id of ids) await flock.answer(id, null);
  await flock.rollout(source, 'completed');

  const both = await flock.push(source, files('cash', 81));
  await flock.answer('anna', { code: 'hook_failed', detail: 'etc/app.json: mode is none of card, free' });
  await flock.answer('bert', { code: 'hook_failed', detail: 'cannot read net.conf' });
  await flock.answer('cleo', { code: 'health_check_failed', detail: 'no answer' });
  const rollout = await flock.rolloutOf(source.id);
  const places = new Map((await causesOf(flock, rollout.id, 3, 2)).map(({ detail, place }) => [detail, place]));
  const at = { commit: both.commit, revisionId: both.revision };
  expect(places.get('etc/app.json: mode is none of card, free')).toEqual({ ...at, file: 'etc/app.json', line: 3 });
  expect(places.get('cannot read net.conf')).toEqual({ ...at, file: 'etc/net.conf', line: 3 });
  expect(places.get('no answer')).toBeNull();
  const [item] = (await flock.api('GET', '/attention')).body.items;
  expect(item.causes.map(({ place }: Cause) => place?.file ?? null).toSorted()).toEqual(['etc/app.json', 'etc/net.conf', null]);

  const one = await flock.push(source, files('free', 80));
  await flock.answer('anna', { code: 'health_check_failed', detail: 'no answer' });
  const [only] = await causesOf(flock, (await flock.rolloutOf(source.id)).id, 1);
  expect(only?.place).toEqual({ commit: one.commit, revisionId: one.revision, file: 'etc/app.json', line: 3 });
}, 300_000);

test('of a file that layers merge, the place is the file and line of the layer that gave the changed value', async () => {
  await using flock = await openFlock();
  const source = await flock.source('pumps', { layout: 'fleet', rolloutPolicy: { errorBudget: { max: 100 } } });
  const files = (mode: string, rate: number) => ({
    'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\nlayers: { base: base/ }\n',
    'base/app.json': `{\n  "host": "a.example",\n  "mode": "${mode}"\n}\n`,
    'devices/p1/app.json': `{ "rate": ${rate} }\n`,
    'devices/p1/README': 'pump 1\n',
  });
  await flock.device('p1', { sourceId: source.id, path: 'devices/p1' });
  await flock.push(source, files('slow', 1));
  await flock.answer('p1', null);
  await flock.rollout(source, 'completed');
  const based = await flock.push(source, files('fast', 1));
  await flock.answer('p1', { code: 'health_check_failed', detail: 'too fast' });
  const [ofBase] = await causesOf(flock, (await flock.rolloutOf(source.id)).id, 1);
  expect(ofBase?.place).toEqual({ commit: based.commit, revisionId: based.revision, file: 'base/app.json', line: 3 });
  const own = await flock.push(source, files('slow', 2));
  await flock.answer('p1', { code: 'health_check_failed', detail: 'too much' });
  const [ofOwn] = await causesOf(flock, (await flock.rolloutOf(source.id)).id, 1);
  expect(ofOwn?.place).toEqual({ commit: own.commit, revisionId: own.revision, file: 'devices/p1/app.json', line: 1 });
}, 300_000);

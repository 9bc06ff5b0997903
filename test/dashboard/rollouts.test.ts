import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { type FleetSource, openFleet } from '../support/fleet.ts';
import { ADMIN_TOKEN, eventually } from '../support/service.ts';
import { filesOfTills } from './town.ts';

let fleet: Awaited<ReturnType<typeof openFleet>>;
let browser: TestBrowser;
let page: Page;
let tills: FleetSource;

beforeAll(async () => {
  fleet = await openFleet();
  browser = await openBrowser();
  page = await browser.signedIn(fleet.service.url, ADMIN_TOKEN);
  tills = await fleet.source('tills');
  // Slow enough that a page sees the canaries at work.
  const behaviour = { latencyMs: 300, failWhen: /"mode": "broken"/, failWhenShare: 1 };
  await fleet.run(await fleet.enrol(tills, 12, 'till'), behaviour);
  await fleet.push(tills, filesOfTills());
  await fleet.rollout(tills, 'completed');
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

const open = (path: string) => page.goto(fleet.service.url + path);
const steps = () => page.getByRole('list', { name: 'Steps of the rollout' });
const step = (name: string | RegExp) => steps().getByRole('listitem').filter({ hasText: name });
const alert = (text: string | RegExp) => page.getByRole('main').getByText(text);

test('a canary rollout with a bad commit is followed to its abort, live', async () => {
  await open('/rollouts');
  await page.evaluate("window.isSamePage = 'yes'");
  const commit = await fleet.push(tills, filesOfTills({ mode: 'broken' }), { author: 'Björn Lund <bjorn@example.com>' });
  const { id } = await eventually('the rollout of the bad commit', async () => {
    const newest = await fleet.rolloutOf(tills.id);
    return newest?.state === 'completed' ? undefined : newest;
  });
  await page.locator(`[role=row][data-key="${id}"]`).click();
  await page.getByRole('heading', { level: 1, name: `Rollout of ${commit.slice(0, 8)}` }).waitFor();
  const canary = page.getByRole('region', { name: 'Wave 1' });
  await canary.getByText('canary 3 devices').waitFor();
  await canary.getByText(/[1-3] (rolled back|failed)/).waitFor();
  await step('canary')
    .getByText(/^Failed$/)
    .waitFor();
  await page
    .getByRole('main')
    .getByText(/^\s*(Aborted|Reverted)\s*$/)
    .filter({ visible: true })
    .first()
    .waitFor();
  const { end } = (await fleet.api('GET', `/rollouts/${id}`)).body;
  await alert(end.detail).first().waitFor();
  await step('canary')
    .getByText(/failed \(budget/)
    .waitFor();
  expect(await fleet.touched(id)).toHaveLength(3);
  await canary.locator('canvas').waitFor();
  const painted = await canary.locator('canvas').boundingBox();
  expect([(painted?.width ?? 0) > 100, (painted?.height ?? 0) > 10]).toEqual([true, true]);
  expect(await page.evaluate('window.isSamePage')).toBe('yes');
});

test('from the overview, the cause of failing devices is one click away, and the failed attempt two', async () => {
  await open('/');
  const panel = page.getByRole('region', { name: 'Needs attention' });
  const { items } = (await fleet.api('GET', '/attention')).body;
  const [cause] = items.find(({ kind }: { kind: string }) => kind === 'rollout_failures').causes;
  await panel.locator('.cause').getByText(cause.detail).first().waitFor();
  await panel.getByRole('link', { name: /tills/ }).first().click();
  await page.getByRole('heading', { level: 1, name: /^Rollout of/ }).waitFor();
  expect(new URL(page.url()).searchParams.get('tab')).toBe('causes');
  await page.locator('main .cause').getByText(cause.detail).first().waitFor();
  await page.locator('main .cause').getByRole('link', { name: cause.firstDevice }).click();
  await page.getByRole('heading', { level: 1, name: cause.firstDevice }).waitFor();
  expect(new URL(page.url()).searchParams.get('tab')).toBe('history');
});

test('a waiting rollout is approved: the dialog says how many devices it touches', async () => {
  const source = await fleet.source('gateways', { rolloutPolicy: { approval: { beforeRollout: true } } });
  await fleet.run(await fleet.enrol(source, 4, 'gateway'), { latencyMs: 30 });
  const commit = await fleet.push(source, { 'gateway.yaml': 'uplink: lte\n' });
  const { id } = await fleet.rollout(source, 'awaiting_approval');
  await open('/');
  const panel = page.getByRole('region', { name: 'Needs attention' });
  await panel.getByRole('listitem').filter({ hasText: 'gateways' }).getByRole('link').first().click();
  await page.getByRole('heading', { level: 1, name: `Rollout of ${commit.slice(0, 8)}` }).waitFor();
  const { effects } = (await fleet.api('GET', `/rollouts/${id}/effects`)).body;
  const approve = effects.find(({ act }: { act: string }) => act === 'approve');
  expect(approve.starts).toBe(4);
  await page.getByRole('button', { name: 'Approve' }).click();
  const dialog = page.getByRole('alertdialog');
  await dialog.getByText(approve.detail).waitFor();
  await dialog.getByText('4 devices start').waitFor();
  await dialog.getByText('gateway.yaml').first().waitFor();
  await dialog.getByLabel('Comment').fill('seen on the canary');
  await dialog.getByRole('button', { name: 'Approve' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('main').getByText('Completed', { exact: true }).first().waitFor();
  await page.getByRole('button', { name: 'Approve' }).waitFor({ state: 'detached' });
  expect((await fleet.api('GET', `/rollouts/${id}`)).body.approvals).toMatchObject([{ comment: 'seen on the canary' }]);
});

test('a rollout is paused with its reason, and resumed', async () => {
  const source = await fleet.source('signs', { rolloutPolicy: { waves: [{ name: 'first', count: 1, bakeSeconds: 3_600 }, { count: 1 }] } });
  await fleet.run(await fleet.enrol(source, 2, 'sign'), { latencyMs: 30 });
  await fleet.push(source, { 'sign.yaml': 'text: hello\n' });
  const { id } = await fleet.rollout(source, 'running');
  await open(`/rollouts/${id}`);
  await page.getByRole('button', { name: 'Pause' }).click();
  const dialog = page.getByRole('alertdialog');
  await dialog.getByLabel('Reason').fill('the shop is open');
  await dialog.getByRole('button', { name: 'Pause' }).click();
  await alert(/the shop is open/)
    .first()
    .waitFor();
  const { token } = (await fleet.api('POST', '/tokens', { name: 'board', role: 'viewer' })).body;
  const viewer = await browser.signedIn(fleet.service.url, token);
  await viewer.goto(page.url());
  await viewer
    .getByRole('main')
    .getByText(/the shop is open/)
    .first()
    .waitFor();
  const acts = viewer.getByRole('main').getByRole('button', { name: /^(Resume|Abort|Skip)/ });
  expect(await acts.count()).toBe(0);
  await viewer.context().close();
  await page.getByRole('button', { name: 'Resume' }).click();
  await dialog.getByRole('button', { name: 'Resume' }).click();
  await page.getByRole('button', { name: 'Resume' }).waitFor({ state: 'detached' });
  expect((await fleet.api('GET', `/rollouts/${id}`)).body.state).toBe('running');
});

/** Opens the dialog of an act, with the number of devices and the change before its button. @returns the dialog */
async function asked(act: string, ...shown: (string | RegExp)[]) {
  await page.getByRole('button', { name: act, exact: true }).click();
  const dialog = page.getByRole('alertdialog');
  for (const text of shown) await dialog.getByText(text).first().waitFor();
  return {
    dialog,
    confirm: async () => {
      await dialog.getByRole('button', { name: act, exact: true }).click();
      await dialog.waitFor({ state: 'detached' });
    },
  };
}
const stateOf = async (id: string) => (await fleet.api('GET', `/rollouts/${id}`)).body.state;

test('a rollout that waits for an approval is rejected with a comment, and no device changes', async () => {
  const source = await fleet.source('lamps', { rolloutPolicy: { approval: { beforeRollout: true } } });
  await fleet.run(await fleet.enrol(source, 3, 'lamp'), { latencyMs: 30 });
  await fleet.push(source, { 'lamp.yaml': 'level: 9\n' });
  const { id } = await fleet.rollout(source, 'awaiting_approval');
  await open(`/rollouts/${id}`);
  const reject = await asked('Reject', '3 devices stop');
  await reject.dialog.getByLabel('Comment').fill('too bright');
  await reject.confirm();
  await alert(/too bright/)
    .first()
    .waitFor();
  expect(await stateOf(id)).toBe('aborted');
  expect(await fleet.touched(id)).toEqual([]);
});

test('a wave that waits for its gate is skipped, and the next devices start', async () => {
  const source = await fleet.source('scales', {
    rolloutPolicy: { waves: [{ name: 'first', count: 1, bakeSeconds: 3_600 }, { count: 2 }] },
  });
  await fleet.run(await fleet.enrol(source, 3, 'scale'), { latencyMs: 30 });
  await fleet.push(source, { 'scale.yaml': 'unit: g\n' });
  const { id } = await fleet.rollout(source, 'running');
  await open(`/rollouts/${id}`);
  await (await asked('Skip wave', '2 devices start', 'scale.yaml')).confirm();
  await page.getByRole('main').getByText('Completed', { exact: true }).first().waitFor();
  expect([await stateOf(id), (await fleet.touched(id)).length]).toEqual(['completed', 3]);
});

test('failed devices are tried again; what runs now is rolled back, with the change in view, and the source is held there', async () => {
  const source = await fleet.source('gates', { rolloutPolicy: { errorBudget: { max: 100 } } });
  const keys = await fleet.enrol(source, 4, 'gate');
  const bad = await fleet.run(keys, { latencyMs: 30, failWhen: /bad/, failWhenShare: 1 });
  await fleet.push(source, { 'gate.yaml': 'mode: open\n' });
  await fleet.rollout(source, 'completed');
  const commit = await fleet.push(source, { 'gate.yaml': 'mode: bad\n' });
  const { id } = await eventually('all have failed', async () => {
    const newest = await fleet.rolloutOf(source.id);
    const { counts } = (await fleet.api('GET', `/rollouts/${newest.id}`)).body;
    return counts.failed === 4 ? newest : undefined;
  });
  await bad.stop();
  await fleet.run(keys, { latencyMs: 30 });
  await open(`/rollouts/${id}`);
  await (await asked('Retry failed', '4 devices start', 'gate.yaml')).confirm();
  await eventually('all succeeded', async () => (await fleet.api('GET', `/rollouts/${id}`)).body.counts.succeeded === 4);

  const back = await asked('Roll back', /4 of 4/, 'mode: open', 'mode: bad');
  await back.dialog.getByLabel('Reason').fill('the gates stand open');
  await back.dialog.getByRole('button', { name: 'Roll back', exact: true }).click();
  await page.waitForURL((url) => !url.pathname.endsWith(id));
  const rolledBack = await fleet.rollout(source, 'completed');
  expect(rolledBack).toMatchObject({ kind: 'rollback', reason: 'the gates stand open' });
  const held = (await fleet.api('GET', `/sources/${source.id}`)).body;
  expect([held.hold?.reason, held.headCommit]).toEqual(['the gates stand open', commit]);
});

test('no page complained', () => expect(browser.problems).toEqual([]));

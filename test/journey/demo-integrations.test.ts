import { expect, test } from 'vitest';
import { startDemo } from '../support/demo.ts';

test('demo --integrations --exit: devices of two platforms are imported, exported, in conflict, configured and rolled back', async () => {
  await using demo = await startDemo(['--integrations', '--exit']);
  expect(await demo.ended).toEqual({ code: 0, signal: null });
  expect(demo.result()).toEqual({ imported: 50, exported: 2, conflicts: 1, resolved: 1, configured: 4, rolledBack: 1, ok: true });
  expect(demo.output()).toContain('its state is "unverified"');
  expect(demo.output()).toMatch(/meter-0: REPORT_SECONDS: value out of range/);
  expect(demo.complaints()).toBe('');
  await demo.expectNothingLeft();
}, 900_000);

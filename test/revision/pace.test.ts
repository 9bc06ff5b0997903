import { expect, test } from 'vitest';
import { limitsOfThisMachine } from '../../src/prepare/pace.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';

const usual = defaultRevisionLimits.maxValidationMs;
const never = () => {
  throw new Error('measured again');
};

test('a folder may take as much longer as the machine is slower, up to five times, and never less than usual', () => {
  const at = (minutes: number, slowness: number) => limitsOfThisMachine(1e6 + minutes * 60_000, () => slowness).maxValidationMs;
  expect(at(1, 1_000)).toBe(5 * usual);
  // One quick look does not make it a quick machine.
  expect(at(2, 0.2)).toBe(5 * usual);
  const later = Array.from({ length: 40 }, (_, minute) => at(3 + minute, 0.2));
  expect(later.at(-1)).toBe(usual);
  expect(later).toEqual([...later].sort((a, b) => b - a));
  expect(at(50, 3)).toBe(3 * usual);
});

test('the other limits are what they are, and the machine is looked at now and then only', () => {
  expect(limitsOfThisMachine(1e7, () => 4)).toEqual({
    ...defaultRevisionLimits,
    maxValidationMs: 4 * usual,
    maxCommitValidationMs: 4 * defaultRevisionLimits.maxCommitValidationMs,
  });
  expect(limitsOfThisMachine(1e7 + 9_000, never).maxValidationMs).toBe(4 * usual);
});

test('this machine is measured', () => {
  const { maxValidationMs } = limitsOfThisMachine(1e9);
  expect(maxValidationMs).toBeGreaterThanOrEqual(usual);
  expect(maxValidationMs).toBeLessThanOrEqual(5 * usual);
});

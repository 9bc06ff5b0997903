import { expect, test } from 'vitest';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import { limitsOfThisMachine } from '../../src/revision/pace.ts';

const usual = defaultRevisionLimits.maxValidationMs;
const never = () => {
  throw new Error('measured again');
};

test('a folder may take as much longer as the machine is slower, up to five times, and never less than usual', () => {
  const at = (seconds: number, ms: number) => limitsOfThisMachine(seconds * 1_000, () => ms).maxValidationMs;
  expect(at(0, 8)).toBe(usual);
  expect(at(20, 2)).toBe(usual);
  expect(at(40, 24)).toBe(3 * usual);
  expect(at(60, 10_000)).toBe(5 * usual);
});

test('the other limits are what they are, and the machine is measured now and then only', () => {
  expect(limitsOfThisMachine(100_000, () => 16)).toEqual({ ...defaultRevisionLimits, maxValidationMs: 2 * usual });
  expect(limitsOfThisMachine(109_000, never).maxValidationMs).toBe(2 * usual);
});

test('this machine is measured', () => {
  const { maxValidationMs } = limitsOfThisMachine(1e9);
  expect(maxValidationMs).toBeGreaterThanOrEqual(usual);
  expect(maxValidationMs).toBeLessThanOrEqual(5 * usual);
});

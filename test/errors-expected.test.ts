import { expect, test } from 'vitest';
import { expecting } from '../src/errors.ts';

test('an error of an expected code has an answer, and every other is thrown', () => {
  const orNull = expecting(null, 'ENOENT', 'ENOTDIR');
  expect(orNull(Object.assign(new Error('missing'), { code: 'ENOENT' }))).toBeNull();
  const denied = Object.assign(new Error('denied'), { code: 'EACCES' });
  expect(() => orNull(denied)).toThrow(denied);
  expect(() => orNull(new TypeError('a defect'))).toThrow('a defect');
});

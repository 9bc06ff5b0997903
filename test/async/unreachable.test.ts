import { expect, test } from 'vitest';
import { unreachable } from '../../src/async/unreachable.ts';

test('the error names a value that the types exclude', () => {
  const state = JSON.parse('{"do":"dance"}') as never;
  expect(() => unreachable(state)).toThrow('unexpected value {"do":"dance"}');
});

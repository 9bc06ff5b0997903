import { expect, test } from 'vitest';
import { unreachable } from '../../src/async/unreachable.ts';

test('a value that the types rule out is named in the error', () => {
  const state = JSON.parse('{"do":"dance"}') as never;
  expect(() => unreachable(state)).toThrow('unexpected value {"do":"dance"}');
});

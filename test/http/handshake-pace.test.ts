import { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { paceSuspects } from '../../src/live/handshakes.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function opened(isSuspect: (sender: string) => boolean) {
  const pace = paceSuspects(isSuspect);
  const begun: [name: string, mayBegin: boolean][] = [];
  const open = (name: string, sender = 'suspect') => {
    const socket = new Socket();
    pace.begin({ socket }, sender, (mayBegin) => begun.push([name, mayBegin]));
    return socket;
  };
  return { open, begun, close: pace.close };
}

test('connections of a sender beyond its failures begin in turn, those of others at once', () => {
  const { open, begun } = opened((sender) => sender === 'suspect');
  for (const name of ['a', 'b', 'c']) open(name);
  open('other', 'other');
  expect(begun).toEqual([
    ['a', true],
    ['other', true],
  ]);
  vi.runOnlyPendingTimers();
  expect(begun.at(-1)).toEqual(['b', true]);
  vi.runAllTimers();
  expect(begun.slice(2)).toEqual([
    ['b', true],
    ['c', true],
  ]);
  expect(vi.getTimerCount()).toBe(0);
});

test('a connection that ends while it waits gives up its turn, and its error ends nothing', () => {
  const { open, begun } = opened(() => true);
  open('a');
  const left = open('b');
  open('c');
  left.emit('error', new Error('ECONNRESET'));
  left.emit('close');
  vi.runAllTimers();
  expect(begun.map(([name]) => name)).toEqual(['a', 'c']);
});

test('at most 200 connections of a sender wait; further ones are refused at once', () => {
  const { open, begun } = opened(() => true);
  for (let n = 0; n < 202; n++) open(String(n));
  expect(begun).toEqual([
    ['0', true],
    ['201', false],
  ]);
  vi.runAllTimers();
  expect(begun.filter(([, mayBegin]) => mayBegin)).toHaveLength(201);
});

test('a stop refuses the connections that wait', () => {
  const { open, begun, close } = opened(() => true);
  for (const name of ['a', 'b', 'c']) open(name);
  close();
  vi.runAllTimers();
  expect(begun).toEqual([
    ['a', true],
    ['b', false],
    ['c', false],
  ]);
});

import type { CommandType } from './command.ts';

/** Proves that a command reaches the device and that its result reaches the server. */
export const ping: CommandType = {
  run: ({ agent }) => Promise.resolve({ ok: true, result: { pong: true, at: agent.clock.now().toISOString() } }),
};

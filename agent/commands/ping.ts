import type { CommandType } from './command.ts';

/** Shows that the way to the device and back works. */
export const ping: CommandType = {
  run: ({ agent }) => Promise.resolve({ ok: true, result: { pong: true, at: agent.clock.now().toISOString() } }),
};

import type { z } from 'zod';
import type { LogLevel } from '../src/wire/agent.ts';

export type Level = z.infer<typeof LogLevel>;
export type Log = (level: Level, message: string, fields?: Record<string, unknown>) => void;

const LEVELS: Level[] = ['debug', 'info', 'warn', 'error'];

/** Writes one line of JSON per message. A logging library would cost the device 9 MB of memory. */
export function createLog(minimum: Level, write: (line: string) => void): Log {
  return (level, message, fields) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(minimum)) return;
    write(`${JSON.stringify({ level, time: new Date().toISOString(), msg: message, ...fields })}\n`);
  };
}

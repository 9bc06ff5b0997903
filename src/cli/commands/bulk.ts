import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { Problem } from '../../errors.ts';
import { type Call, calling, collectLabel, showItem, type Terminal } from '../call.ts';

const Preview = z.object({ matching: z.number(), willChange: z.number(), sample: z.array(z.string()), token: z.string() });

/** `devices bulk`: an action on all devices of a filter. */
export function registerBulkCommand(devices: Command, io: Terminal): void {
  const bulk = devices
    .command('bulk <action>')
    .description('act on many devices: start, stop, refresh, hold, release, label, move, retry; shows their number and asks')
    .option('--status <status>')
    .option('--connectivity <state>', 'online, offline, unknown')
    .option('--site <id>')
    .option('--source <id>')
    .option('--type <type>')
    .option('--label <key=value>', 'may be repeated', collectLabel)
    .option('-q, --query <text>', "part of an id, a name or a label's value")
    .option('--all', 'all devices, instead of a filter')
    .option('--reason <text>', 'hold: why')
    .option('--set <key=value>', 'label: a label that they get; may be repeated', collectLabel)
    .option('--to <site>', 'move: id of the site')
    .option('--yes', 'do not ask');
  calling(bulk, io, actOnMany);
}

async function actOnMany(call: Call): Promise<void> {
  const filter = filterOf(call);
  if (Object.keys(filter).length === 0 && !call.flag('all')) throw new Problem('usage', 'Cannot act on devices: give a filter, or --all');
  const wanted = { action: call.args[0], filter, parameters: parametersOf(call) };
  const preview = Preview.parse(await call.client.send('POST', '/devices:bulk', { ...wanted, dryRun: true }));
  const { matching, willChange, sample, token } = preview;
  const named = sample.length === 0 ? '' : `: ${sample.join(', ')}${willChange > sample.length ? ', …' : ''}`;
  call.io.err(`${willChange} of ${matching} matching devices change${named}\n`);
  if (willChange === 0) return;
  if (!call.flag('yes') && !(await agrees(call.io, willChange))) throw new Problem('usage', 'Nothing was changed');
  showItem(call, await call.client.send('POST', '/devices:bulk', { ...wanted, expected: willChange, token }));
}

function filterOf(call: Call): Record<string, unknown> {
  const lists = ['status', 'connectivity', 'site', 'source', 'type', 'label'].map((name) => [name, call.text(name)?.split('\n')] as const);
  const q = call.text('query');
  return { ...Object.fromEntries(lists.filter(([, values]) => values !== undefined)), ...(q === undefined ? {} : { q }) };
}

function parametersOf(call: Call): Record<string, unknown> {
  const set = call
    .text('set')
    ?.split('\n')
    .map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]);
  return { reason: call.text('reason'), set: set && Object.fromEntries(set), siteId: call.text('to') };
}

/** Asks at the terminal. Without one, nobody can agree. */
async function agrees(io: Terminal, count: number): Promise<boolean> {
  if (!process.stdin.isTTY) {
    io.err('Give --yes to act without a question\n');
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`Change ${count} devices? [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

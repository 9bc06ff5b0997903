import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { type Call, calling, positive, showTable, type Terminal } from '../call.ts';
import { ago, type Column, field } from '../table.ts';

const COLUMNS: Column[] = [
  { title: 'WHEN', value: ago('at') },
  { title: 'WHO', value: field('actor') },
  { title: 'WHAT', value: field('action') },
  { title: 'SUBJECT', value: field('subject') },
  { title: 'OUTCOME', value: field('outcome') },
];

export function registerAuditCommands(audit: Command, io: Terminal): void {
  const list = audit
    .command('list', { isDefault: true })
    .description('list the newest entries')
    .option('--subject <subject>', 'only entries of this subject, for example device:till-7')
    .option('--limit <n>', 'maximum number of rows', positive, '50');
  calling(list, io, async (call) => {
    showTable(call, COLUMNS, await call.client.list('/audit', { subject: call.text('subject') }, call.limit()));
  });
  const whole = audit
    .command('export')
    .description('export all entries, oldest first, as lines of JSON or CSV')
    .option('--from <time>', 'entries at or after this time or date (UTC)')
    .option('--to <time>', 'entries before this time or date')
    .option('--subject <subject>', 'only entries of this subject, for example device:till-7')
    .option('--format <format>', 'jsonl or csv', 'jsonl')
    .option('-o, --output <file>', 'write to a file that only its owner can read; default: stdout');
  calling(whole, io, exportAudit);
}

async function exportAudit(call: Call): Promise<void> {
  const query = { after: call.text('from'), before: call.text('to'), subject: call.text('subject'), format: call.text('format') };
  const bytes = await call.client.download('/audit/export', query);
  const file = call.text('output');
  if (file === undefined) {
    const decoder = new TextDecoder();
    for await (const chunk of bytes) call.io.out(decoder.decode(chunk, { stream: true }));
    return;
  }
  // An incomplete export must not have the name of a complete one.
  const part = `${file}.part`;
  try {
    await pipeline(Readable.from(bytes), createWriteStream(part, { mode: 0o600 }));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  call.io.err(`written to ${file}\n`);
}

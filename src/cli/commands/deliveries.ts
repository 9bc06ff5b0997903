import type { Command } from 'commander';
import { type Call, calling, positive, segmentOf, showItem, showTable, type Terminal } from '../call.ts';
import type { Column } from '../table.ts';

type Deliveries = {
  description: string;
  /** Help of the option that repeats a delivery. */
  redeliver: string;
  columns: Column[];
  pathOf(call: Call, rest: string): string;
};

/** `deliveries <id>`: lists the deliveries of a resource, or repeats one of them. */
export function registerDeliveries(parent: Command, io: Terminal, { description, redeliver, columns, pathOf }: Deliveries): void {
  calling(
    parent
      .command('deliveries <id>')
      .description(description)
      .option('--limit <n>', 'maximum number of rows', positive, '20')
      .option('--redeliver <delivery>', redeliver),
    io,
    async (call) => {
      const again = call.text('redeliver');
      if (again === undefined) return showTable(call, columns, await call.client.list(pathOf(call, '/deliveries'), {}, call.limit()));
      showItem(call, await call.client.send('POST', pathOf(call, `/deliveries/${segmentOf(again)}/redeliver`)), 'queued');
    },
  );
}

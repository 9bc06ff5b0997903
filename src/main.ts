#!/usr/bin/env node
import { Command } from 'commander';
import { readConfig } from './config.ts';
import { messageOf } from './errors.ts';
import { createLog } from './log.ts';

/** The command line. Each command imports what it needs when it runs, so that `validate` starts no database and `agent` stays small. */
const program = new Command('bellwether').description(
  'GitOps for device fleets: commit device configuration to Git, and the fleet follows.',
);

program
  .command('serve', { isDefault: true })
  .description('API and controller, on the embedded PostgreSQL or DATABASE_URL; set up by environment variables (see the README)')
  .action(serve);

async function serve(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(config.LOG_LEVEL);
  const [{ openApp }, { startController }] = await Promise.all([import('./app.ts'), import('../controller/main.ts')]);
  const app = await openApp(config, log, startController);
  const signal = await stopSignal();
  log.info({ signal }, 'stopping');
  const limit = setTimeout(() => {
    log.error('stopping took longer than 10 s: ending at once');
    process.exit(1);
  }, 10_000);
  await app.close();
  clearTimeout(limit);
  log.info('stopped');
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
});

import { Command } from 'commander';
import { registerClientCommands } from './cli/commands/register.ts';
import { registerKeysCommands } from './cli/keys.ts';
import { readConfig } from './config.ts';
import { registerDemoCommand } from './demo/command.ts';
import { messageOf } from './errors.ts';
import { armFault } from './faults.ts';
import { createLog } from './log.ts';
import { registerSimulateCommand } from './simulate/command.ts';

/** Runs the command that the process's arguments name. Each command imports its modules when it runs, so that `validate` starts no database and `agent` stays small. */
export function runCommandLine(): void {
  process.once('SIGINT', () => interrupted.abort());
  program.parseAsync().catch((error: unknown) => {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = 1;
  });
}

const program = new Command('bellwether').description(
  'GitOps for device fleets: commit device configuration to Git, and the fleet follows.',
);

program
  .command('serve', { isDefault: true })
  .description('run API and controller, with the embedded PostgreSQL or DATABASE_URL; docs/settings.md lists the environment variables')
  .action(serve);

program
  .command('validate [dir]')
  .description(
    'validate the files that Git would commit, by the rules of the controller; exit code 1 and file:line:pointer lines on errors',
  )
  .option('--layout <layout>', 'repo or fleet; default: fleet if there is a fleet.yaml')
  .option(
    '--devices <file>',
    'JSON or YAML list of devices, each {id, labels, site, …}: for layers, for templates, and to check the waves of `rollout:`',
  )
  .option('--json', 'print JSON')
  .action(validate);

program
  .command('agent')
  .description('run the device agent, as `node agent/main.ts` does')
  .allowUnknownOption()
  .allowExcessArguments()
  .helpOption(false)
  .action(agent);

program.command('openapi').description('print the description of the HTTP API (OpenAPI 3.1)').action(openapi);

registerDemoCommand(program);
registerSimulateCommand(program, process.env);
registerKeysCommands(program, { env: process.env, out: (text) => process.stdout.write(text) });

const interrupted = new AbortController();
registerClientCommands(program, {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  env: process.env,
  signal: interrupted.signal,
  ...(process.stdout.isTTY ? { columns: process.stdout.columns } : {}),
});

async function validate(dir: string | undefined, options: { layout?: string; devices?: string; json?: boolean }): Promise<void> {
  const { formatErrors, formatWarnings, validateCheckout } = await import('./cli/validate/validate.ts');
  const { layout, devices } = options;
  if (layout !== undefined && layout !== 'repo' && layout !== 'fleet')
    throw new Error(`Cannot validate with layout "${layout}", must be "repo" or "fleet"`);
  const { errors, warnings, paths } = await validateCheckout(dir ?? '.', { layout, devices, env: process.env });
  if (options.json) process.stdout.write(`${JSON.stringify({ valid: errors.length === 0, devices: paths, errors, warnings })}\n`);
  else if (errors.length > 0) process.stdout.write(`${formatErrors(errors)}\n`);
  else process.stdout.write(`valid: ${paths} ${paths === 1 ? 'device' : 'devices'}\n`);
  if (!options.json) process.stderr.write(formatWarnings(warnings));
  if (errors.length > 0) process.exitCode = 1;
}

async function agent(): Promise<void> {
  const { runFromCommandLine } = await import('../agent/run.ts');
  await runFromCommandLine(process.argv.slice(3));
}

async function openapi(): Promise<void> {
  const { describeApi } = await import('./api/describe.ts');
  process.stdout.write(`${JSON.stringify(describeApi())}\n`);
}

async function serve(): Promise<void> {
  const config = readConfig(process.env);
  if (config.BELLWETHER_FAULT !== undefined) armFault(config.BELLWETHER_FAULT);
  const log = createLog(config.LOG_LEVEL);
  const [{ openApp }, { startController }, { buildDashboard }] = await Promise.all([
    import('./app.ts'),
    import('../controller/main.ts'),
    import('../web/build.ts'),
  ]);
  try {
    buildDashboard();
  } catch (error) {
    log.error({ err: error }, 'failed to build the dashboard; everything else works, the next start builds it');
  }
  // Subscribed before the start: a signal during the start must not leave a database running.
  const stopped = stopSignal();
  const app = await openApp(config, log, startController).catch((error: unknown) => {
    process.stderr.write(`${messageOf(error)}\n`);
    // Exits explicitly, since parts that started before the failure, such as a waiting worker, would keep the process alive.
    process.exit(1);
  });
  const why = await Promise.race([stopped.then((signal) => ({ signal })), app.failed.then((failure) => ({ failure }))]);
  if ('failure' in why) log.fatal(why, 'failed to keep running; the process ends so that its supervisor restarts it');
  else log.info(why, 'stopping');
  // Work that waits for an unavailable database may wait forever.
  const limitMs = 'failure' in why || !app.services.database.isUp() ? 3_000 : 10_000;
  const limit = setTimeout(() => {
    log.error(`failed to stop within ${limitMs / 1000} s; the process ends at once`);
    process.exit(1);
  }, limitMs);
  await app.close();
  clearTimeout(limit);
  log.info('stopped');
  if ('failure' in why) process.exit(1);
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}

import { startController } from '../../controller/main.ts';
import { openApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { DEPOT } from '../support/depot.ts';

/** The service in a process of its own, which knows the tests' platform. It reads its settings from the environment and prints its address. */
const config = readConfig(process.env);
const app = await openApp(config, createLog(config.LOG_LEVEL), startController, DEPOT);
process.stdout.write(`${app.url}\n`);
process.once('SIGTERM', () => {
  void app.close().then(() => process.exit(0));
});

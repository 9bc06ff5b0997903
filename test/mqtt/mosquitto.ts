import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isProblem } from '../../src/errors.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import type { Verification } from '../../src/integration/provider.ts';
import { mqtt } from '../../src/integration/providers/mqtt/provider.ts';
import { playDevice } from '../support/mqtt.ts';

/** Plays the MQTT provider against Debian's mosquitto in MQTT 5: `npm run test:mosquitto`. The broker of `npm test` has MQTT 3.1.1 only. */

const BROKER = ['mosquitto', '/usr/sbin/mosquitto'].find((name) => spawnSync(name, ['-h']).error === undefined);
if (BROKER === undefined) {
  console.log('skipped: mosquitto is not installed; on Debian: apt-get install mosquitto');
  process.exit(0);
}

const dir = await mkdtemp(join(tmpdir(), 'bellwether-mosquitto-'));
// Started as root, mosquitto drops to a user of its own.
await chmod(dir, 0o777);
const port = await freePort();
const url = `mqtt://127.0.0.1:${port}`;
await writeFile(join(dir, 'm.conf'), `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location ${dir}/\n`);
let broker = await startBroker();

const signal = () => AbortSignal.timeout(30_000);
const sockets = { guard: addressGuard({ allowPrivate: true }), isolate: <T>(work: () => Promise<T>) => work(), tlsOnly: false };
const connectNothing = () => {
  throw new Error('an MQTT platform calls no HTTP API');
};
const platform = mqtt.open({ settings: { url }, credentials: {}, connect: connectNothing, sockets });
const { push } = platform;
if (push === undefined) throw new Error('the platform takes no configuration');
const target = { organizationId: 'o', deviceId: 'meter', externalId: 'meter' };

try {
  const late = await deliver('d1', 't1');
  must('a device that was never there has no verdict', (await late()).is === 'pending');
  const device = await playDevice(url, 'meter', { protocolVersion: 5 });
  must('it takes the retained message when it connects', await becomes(late, 'verified'));
  await broker.stop();
  broker = await startBroker();
  const again = await deliver('d2', 't2');
  must('after a restart of the broker it takes the next one', await becomes(again, 'verified'));
  must('it took each message once per connection, in order', device.taken.at(-1)?.token === 't2');
  await device.lose();
  const isGone = async () => (await platform.read?.('meter', signal()))?.connectivity === 'offline';
  must('its last will shows that it is gone', await within(isGone));
  const tested = await platform.test(signal());
  must('it is found by its reports', tested.devices === 1);
} finally {
  await platform.close?.();
  await broker.stop();
  await rm(dir, { recursive: true, force: true });
}
console.log('mosquitto: all facts hold');

async function deliver(digest: string, token: string): Promise<() => Promise<Verification>> {
  const prepared = await push!.prepare(
    target,
    { digest, document: { digest }, files: [], readFile: async () => new Uint8Array() },
    signal(),
  );
  const apply = async () => {
    try {
      return [await push!.apply(target, prepared, token, signal())];
    } catch (error) {
      if (isProblem(error, 'integration_unreachable', 'integration_timeout')) return undefined;
      throw error;
    }
  };
  let receipt = await apply();
  // Right after a restart the first request may still meet the old connection.
  if (receipt === undefined) receipt = await apply();
  if (receipt === undefined) throw new Error('the broker does not take the message');
  const [value = null] = receipt;
  return () => push!.verify(target, prepared, value, token, signal());
}

async function becomes(verdict: () => Promise<Verification>, is: Verification['is']): Promise<boolean> {
  return within(async () => (await verdict()).is === is);
}

/** Each try waits by itself for messages. */
async function within(isTrue: () => Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) if (await isTrue()) return true;
  return false;
}

function must(fact: string, holds: boolean): void {
  if (!holds) throw new Error(`mosquitto: does not hold: ${fact}`);
  console.log(`ok: ${fact}`);
}

async function startBroker() {
  const child = spawn(BROKER ?? '', ['-c', join(dir, 'm.conf')], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await within(async () => {
    const socket = connect(port, '127.0.0.1');
    const isOpen = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(
      () => false,
    );
    socket.destroy();
    return isOpen;
  });
  return {
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

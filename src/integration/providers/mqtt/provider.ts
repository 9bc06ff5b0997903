import { z } from 'zod';
import { integrationProblem } from '../../problems.ts';
import { defineProvider } from '../../provider.ts';
import { createConnection } from './connection.ts';
import { deviceOf, listed } from './devices.ts';
import { createPush } from './push.ts';
import { Credentials, Settings } from './settings.ts';

/**
 * Devices at an MQTT broker. The service publishes the wanted configuration retained, so that a device that is offline takes it later. A device
 * publishes what it runs, retained as well, and its last will says when it is gone.
 */
export const mqtt = defineProvider({
  kind: 'mqtt',
  title: 'MQTT broker',
  settings: Settings,
  credentials: Credentials,
  fields: { name: { kind: 'scalar', writable: false, title: 'Name' } },
  views: {},
  document: { names: ['mqtt.yaml', 'mqtt.yml', 'mqtt.json'], schema: z.json() },
  defaultIntervalSeconds: 300,
  abilities: {
    list: true,
    create: false,
    update: false,
    delete: false,
    push: 'verified',
    nativeConfirm: false,
    dryRun: false,
    execute: false,
    hook: false,
  },
  open: ({ settings, credentials, sockets }) => {
    if (sockets === undefined) throw new Error('an MQTT platform needs access to sockets');
    const { url, topicPrefix } = settings;
    if (sockets.tlsOnly && url.startsWith('mqtt:'))
      throw integrationProblem('integration_rejected', `Cannot connect to "${new URL(url).host}": its scheme is "mqtt", must be "mqtts"`);
    const connection = createConnection(settings, credentials, sockets);
    return {
      test: async (signal) => {
        const { devices } = await listed(connection, signal);
        return { account: `${new URL(url).host}, topics below "${topicPrefix}"`, devices: devices.length, sample: devices.slice(0, 5) };
      },
      list: (_cursor, signal) => listed(connection, signal),
      read: async (externalId, signal) => {
        await connection.ready(signal);
        return deviceOf(connection, externalId);
      },
      push: createPush(connection),
      close: () => connection.close(),
    };
  },
});

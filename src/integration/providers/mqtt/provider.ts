import { z } from 'zod';
import { tokenText } from '../../../wire/text/secret-text.ts';
import { integrationProblem } from '../../problems.ts';
import { defineProvider } from '../../provider.ts';
import { createConnection } from './connection.ts';
import { deviceOf, listed } from './devices.ts';
import { createPush } from './push.ts';

const Settings = z.strictObject({
  /** Address of the broker, such as `mqtts://broker.example.com:8883`. */
  url: z.url({ protocol: /^mqtts?$/ }),
  /** Topics are `<prefix>/<device>/desired`, `…/reported` and `…/status`. */
  topicPrefix: z
    .string()
    .min(1)
    .max(200)
    .regex(/^[^+#\0$/][^+#\0]*[^+#\0/]$|^[^+#\0$/]$/, 'must be a topic without wildcards, and without a slash at its ends')
    .default('bellwether'),
  /** Delivery once or more (1), or exactly once (2). With 0 nobody would know whether the broker has the message. */
  qos: z.union([z.literal(1), z.literal(2)]).default(1),
  /** 5 is MQTT 5, 4 is MQTT 3.1.1. */
  protocolVersion: z.union([z.literal(5), z.literal(4)]).default(5),
  /** Certificate of the authority that signed the broker's, in PEM. */
  ca: z.string().max(65_536).optional(),
});
export type MqttSettings = z.output<typeof Settings>;

const Credentials = z.strictObject({
  username: z.string().min(1).max(500).optional(),
  password: tokenText({ min: 1, max: 8_192 }).optional(),
});
export type MqttCredentials = z.output<typeof Credentials>;

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

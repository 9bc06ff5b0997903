import { z } from 'zod';
import { tokenText } from '../../../wire/text/secret-text.ts';

export const Settings = z.strictObject({
  url: z.url({ protocol: /^mqtts?$/ }).describe('Address of the broker, such as mqtts://broker.example.com:8883'),
  topicPrefix: z
    .string()
    .min(1)
    .max(200)
    .regex(/^[^+#\0$/][^+#\0]*[^+#\0/]$|^[^+#\0$/]$/, 'must be a topic without wildcards, and without a slash at its ends')
    .default('bellwether')
    .describe('Topics are <prefix>/<device>/desired, …/reported and …/status'),
  // With 0 nobody would know whether the broker has the message.
  qos: z
    .union([z.literal(1), z.literal(2)])
    .default(1)
    .describe('1: delivery once or more; 2: exactly once'),
  protocolVersion: z
    .union([z.literal(5), z.literal(4)])
    .default(5)
    .describe('5 is MQTT 5, 4 is MQTT 3.1.1'),
  ca: z.string().max(65_536).optional().describe("Certificate of the authority that signed the broker's, in PEM"),
});
export type MqttSettings = z.output<typeof Settings>;

export const Credentials = z.strictObject({
  username: z.string().min(1).max(500).optional(),
  password: tokenText({ min: 1, max: 8_192 }).optional(),
});
export type MqttCredentials = z.output<typeof Credentials>;

import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { MqttClient } from 'mqtt';
import { within } from '../../../async/deadline.ts';
import { messageOf, Problem } from '../../../errors.ts';
import { guardedLookup } from '../../../git/http/connections.ts';
import { foreignText } from '../../../git/problems.ts';
import { integrationProblem } from '../../problems.ts';
import type { SocketAccess } from '../../provider.ts';
import type { MqttCredentials, MqttSettings } from './settings.ts';

/** Last retained message of each topic of a device; undefined: none came. */
export type Shown = { desired?: string; reported?: string; status?: string };

export type MqttConnection = {
  /** Connects if needed, and proves that messages arrive. @throws Problem `integration_…` */
  ready(signal: AbortSignal): Promise<void>;
  /** @returns the messages that the broker has shown of the device */
  shown(device: string): Shown;
  devices(): string[];
  /** Publishes to `<prefix>/<device>/<leaf>`, retained, and waits for the broker's acknowledgement. An empty text removes the retained message. */
  publish(device: string, leaf: string, text: string, signal: AbortSignal): Promise<void>;
  /** Waits until `isThere`, asked after each message. @returns false after `ms` */
  until(isThere: () => boolean, ms: number, signal: AbortSignal): Promise<boolean>;
  close(): Promise<void>;
};

const CONNECT_MS = 10_000;
const RECONNECT_MS = 1_000;
/** CONNACK reason codes of MQTT 5 (§3.2.2.2) and 3.1.1: bad user name or password, not authorized, bad authentication method. */
const REFUSED_CODES = [4, 5, 134, 135, 140];

/** Opens one session for all devices of the integration, at the first call. */
export function createConnection(settings: MqttSettings, credentials: MqttCredentials, sockets: SocketAccess): MqttConnection {
  const { topicPrefix: prefix, qos } = settings;
  const { host } = new URL(settings.url);
  const topics = watchTopics(prefix);
  let client: MqttClient | undefined;
  const ready = async (signal: AbortSignal) => {
    client ??= startClient(settings, credentials, sockets, topics);
    const isDecided = () => topics.isProven || isRefused(topics.lastError) || topics.lastError instanceof Problem;
    await topics.until(isDecided, CONNECT_MS, signal);
    signal.throwIfAborted();
    if (!topics.isProven) throw problemOf(host, topics.lastError);
  };
  const publish = async (topic: string, text: string, signal: AbortSignal) => {
    await ready(signal);
    const sending = client?.publishAsync(topic, text, { qos, retain: true });
    const isSent = async () => {
      await sending?.catch((error: unknown) => Promise.reject(refused(host, error)));
      return true;
    };
    if (await within(CONNECT_MS, isSent(), signal)) return;
    // A message that nobody waits for any more must not be sent later.
    client?.end(true);
    client = undefined;
    topics.isProven = false;
    signal.throwIfAborted();
    throw integrationProblem('integration_timeout', `Cannot publish to "${host}": no acknowledgement within ${CONNECT_MS} ms`);
  };
  return {
    ready: (signal) => sockets.isolate(() => ready(signal), signal),
    shown: (device) => topics.shown.get(device) ?? {},
    devices: () =>
      [...topics.shown].filter(([, { reported, status }]) => reported !== undefined || status !== undefined).map(([device]) => device),
    publish: (device, leaf, text, signal) => sockets.isolate(() => publish(`${prefix}/${device}/${leaf}`, text, signal), signal),
    until: topics.until,
    close: async () => {
      const closing = client;
      client = undefined;
      topics.isProven = false;
      await closing?.endAsync(true);
    },
  };
}

/** `isProven`: a message came back over the present connection. */
type Topics = {
  readonly shown: Map<string, Shown>;
  readonly proofTopic: string;
  isProven: boolean;
  lastError: Error | undefined;
  take(topic: string, payload: Buffer): void;
  changed(): void;
  until: MqttConnection['until'];
};

function watchTopics(prefix: string): Topics {
  const events = new EventEmitter().setMaxListeners(0);
  const topics: Topics = {
    shown: new Map(),
    proofTopic: `${prefix}/bellwether-proof/${randomUUID()}`,
    isProven: false,
    lastError: undefined,
    take: (topic, payload) => {
      if (topic === topics.proofTopic) topics.isProven = true;
      const [device, leaf, ...rest] = topic.slice(prefix.length + 1).split('/');
      if (device !== undefined && rest.length === 0 && (leaf === 'desired' || leaf === 'reported' || leaf === 'status')) {
        const { [leaf]: _old, ...others } = topics.shown.get(device) ?? {};
        topics.shown.set(device, payload.length === 0 ? others : { ...others, [leaf]: payload.toString('utf8') });
      }
      topics.changed();
    },
    changed: () => void events.emit('change'),
    until: async (isThere, ms, signal) => {
      const { promise, resolve } = Promise.withResolvers<true>();
      const check = () => {
        if (isThere()) resolve(true);
      };
      events.on('change', check);
      check();
      try {
        return (await within(ms, promise, signal)) ?? false;
      } finally {
        events.off('change', check);
      }
    },
  };
  return topics;
}

function startClient(settings: MqttSettings, credentials: MqttCredentials, sockets: SocketAccess, topics: Topics): MqttClient {
  const { topicPrefix: prefix, qos } = settings;
  const client = new MqttClient(() => openSocket(settings, sockets), optionsOf(settings, credentials));
  const failed = (error: unknown) => {
    topics.lastError = error instanceof Error ? error : new Error(String(error));
    topics.changed();
  };
  /** Brokers grant subscriptions that they do not serve. Only a message that comes back proves one. */
  const prove = async () => {
    const leaves = ['desired', 'reported', 'status'].map((leaf) => `${prefix}/+/${leaf}`);
    await client.subscribeAsync([...leaves, topics.proofTopic], { qos });
    await client.publishAsync(topics.proofTopic, 'proof', { qos });
  };
  client.on('message', topics.take);
  client.on('error', failed);
  client.on('close', () => {
    topics.isProven = false;
  });
  // A broker may have dropped the subscriptions, and the newest messages of a full queue. Retained messages are therefore read anew at each start.
  client.on('connect', () => {
    topics.lastError = undefined;
    topics.shown.clear();
    prove().catch(failed);
  });
  return client;
}

function optionsOf({ protocolVersion }: MqttSettings, { username, password }: MqttCredentials) {
  return {
    ...{ protocolVersion, clean: true, clientId: `bellwether-${randomUUID()}`, connectTimeout: CONNECT_MS, keepalive: 30 },
    // Without the second, one refusal of the broker would end the client.
    ...{ reconnectPeriod: RECONNECT_MS, reconnectOnConnackError: true, resubscribe: false, queueQoSZero: false },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
}

function openSocket({ url, ca }: MqttSettings, { guard }: SocketAccess) {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const place = { host, port: Number(port || (protocol === 'mqtts:' ? 8883 : 1883)), lookup: guardedLookup(guard) };
  const isSecure = protocol === 'mqtts:';
  const socket = isSecure
    ? connectTls({ ...place, ...(ca === undefined ? {} : { ca }), ...(isIP(host) ? {} : { servername: host }) })
    : connectTcp(place);
  try {
    if (isIP(host)) guard.check(host, host);
  } catch (error) {
    socket.destroy(error instanceof Error ? error : new Error(String(error)));
  }
  return socket;
}

function isRefused(error: Error | undefined): boolean {
  return error !== undefined && 'code' in error && REFUSED_CODES.includes(Number(error.code));
}

function problemOf(host: string, error: Error | undefined): Problem {
  if (error instanceof Problem) return error;
  if (error === undefined)
    return integrationProblem(
      'integration_timeout',
      `Cannot use the broker "${host}": no message came back within ${CONNECT_MS} ms; check that the user may subscribe to all topics of the prefix`,
    );
  if (isRefused(error))
    return integrationProblem(
      'integration_unauthorized',
      `Cannot connect to "${host}": ${foreignText(messageOf(error))}; the integration needs new credentials`,
    );
  return integrationProblem('integration_unreachable', `Cannot reach "${host}": ${foreignText(messageOf(error))}`, { cause: error });
}

/** An acknowledgement with a reason code above 127 refuses the message: MQTT 5, §3.4.2.1. */
function refused(host: string, error: unknown): Problem {
  const code = error instanceof Error && 'code' in error ? Number(error.code) : 0;
  const why = foreignText(messageOf(error));
  if (code === 135)
    return integrationProblem('integration_forbidden', `Cannot publish to "${host}": ${why}; the user lacks the permission`);
  if (code > 127) return integrationProblem('integration_rejected', `Cannot publish to "${host}": ${why}`);
  return integrationProblem('integration_unreachable', `Cannot publish to "${host}": ${why}`, { cause: error });
}

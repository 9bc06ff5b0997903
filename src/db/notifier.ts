import { type Closable, closeOnce } from '../async/lifecycle.ts';
import type { Log } from '../log.ts';
import { connect } from './connect.ts';

/** Neither function may wait. An error of one subscriber is logged and does not affect the others. */
export type Subscriber = {
  onNotify(payload: string): void;
  /** Called at the beginning and after each reconnect, when notifications may have been missed. Read everything again. */
  onMissed(): void;
};

/**
 * The only listener of this process. NOTIFY of all channels arrives over one lasting connection, which is reopened when it is lost. The connection
 * must not go through a transaction-mode pooler, whose sessions keep no LISTEN.
 */
export type Notifier = Closable & {
  /** @returns the function that ends the subscription, once the connection listens @throws while the database is unavailable */
  subscribe(channel: string, subscriber: Subscriber): Promise<() => void>;
};

type Channel = { subscribers: Set<Subscriber>; listening: Promise<unknown> };

export function openNotifier(databaseUrl: string, log: Log): Notifier {
  const sql = connect(databaseUrl, { max: 1, applicationName: 'bellwether listen' });
  const channels = new Map<string, Channel>();
  const call = (channel: string, subscribers: ReadonlySet<Subscriber>, work: (subscriber: Subscriber) => void) => {
    for (const subscriber of [...subscribers]) {
      try {
        work(subscriber);
      } catch (error) {
        log.error({ err: error, channel }, 'failed to handle a database notification; its subscriber misses it');
      }
    }
  };
  const open = (name: string): Channel => {
    const subscribers = new Set<Subscriber>();
    const onNotify = (payload: string) => call(name, subscribers, (subscriber) => subscriber.onNotify(payload));
    // The client calls this after each LISTEN, also on a connection that replaces a lost one.
    const onListen = () => call(name, subscribers, (subscriber) => subscriber.onMissed());
    const channel = { subscribers, listening: sql.listen(name, onNotify, onListen) };
    channels.set(name, channel);
    return channel;
  };
  return {
    subscribe: async (name, subscriber) => {
      const known = channels.get(name);
      const channel = known ?? open(name);
      channel.subscribers.add(subscriber);
      try {
        await channel.listening;
      } catch (error) {
        if (channels.get(name) === channel) channels.delete(name);
        throw error;
      }
      // A later subscriber missed the call that the channel made at its beginning.
      if (known !== undefined) call(name, new Set([subscriber]), ({ onMissed }) => onMissed());
      // LISTEN stays until the connection ends: the channels are few, and UNLISTEN would wait for an unavailable database.
      return () => void channel.subscribers.delete(subscriber);
    },
    close: closeOnce(async () => {
      for (const { subscribers } of channels.values()) subscribers.clear();
      await sql.end({ timeout: 2 });
    }),
  };
}

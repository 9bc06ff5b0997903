import { type Closable, closeOnce } from '../async/lifecycle.ts';
import type { Log } from '../log.ts';
import { connect } from './connect.ts';

/** Neither function may wait. An error of one subscriber is logged, and disturbs no other. */
export type Subscriber = {
  onNotify(payload: string): void;
  /** Something may have been announced unheard: called at the beginning, and whenever the connection was lost and is back. Read everything again. */
  onMissed(): void;
};

/**
 * The one place that listens: NOTIFY of all channels arrives over one connection of this process, which lasts and is opened again when it is lost. It
 * must not lead through a transaction-mode pooler, whose sessions keep no LISTEN.
 */
export type Notifier = Closable & {
  /** @returns the function that ends the subscription, once the server listens @throws while the database is away */
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
        log.error({ err: error, channel }, 'failed to handle a notification of the database; its subscriber misses it');
      }
    }
  };
  const open = (name: string): Channel => {
    const subscribers = new Set<Subscriber>();
    const onNotify = (payload: string) => call(name, subscribers, (subscriber) => subscriber.onNotify(payload));
    // The client calls this after each LISTEN, also after those of a connection that replaces a lost one.
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
      // Whoever joins later was not there when the channel began.
      if (known !== undefined) call(name, new Set([subscriber]), ({ onMissed }) => onMissed());
      // LISTEN stays until the connection ends: the channels are few, and an UNLISTEN would wait for a database that is away.
      return () => void channel.subscribers.delete(subscriber);
    },
    close: closeOnce(async () => {
      for (const { subscribers } of channels.values()) subscribers.clear();
      await sql.end({ timeout: 2 });
    }),
  };
}

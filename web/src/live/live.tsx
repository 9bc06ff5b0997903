import { useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { type LiveBatch, LiveConnection, type LiveState } from './connection.ts';
import { followEvents } from './follow.ts';
import { lastEventQuery } from './last-event.ts';

const Live = createContext<LiveConnection | undefined>(undefined);

/** Opens the connection while somebody is signed in, and keeps every read of the page up to date with it. */
export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [connection] = useState(
    () => new LiveConnection(() => void client.invalidateQueries(), client.getQueryData(lastEventQuery.queryKey) ?? undefined),
  );
  useEffect(() => {
    connection.open();
    const stop = connection.listen(['devices', 'events', 'integrations'], followEvents(client));
    return () => {
      stop();
      connection.close();
    };
  }, [client, connection]);
  return <Live value={connection}>{children}</Live>;
}

function useConnection(): LiveConnection {
  const connection = useContext(Live);
  if (connection === undefined) throw new Error('Live updates need a LiveProvider around the page');
  return connection;
}

/** Calls `onBatch` with the messages of these topics, and of all others that the page follows; each names its subject. */
export function useLive(topics: readonly string[], onBatch: (batch: LiveBatch) => void): void {
  const connection = useConnection();
  const latest = useRef(onBatch);
  useEffect(() => {
    latest.current = onBatch;
  });
  const key = topics.join(' ');
  useEffect(() => connection.listen(key === '' ? [] : key.split(' '), (batch) => latest.current(batch)), [connection, key]);
}

/** Whether events arrive now; otherwise the time of which the page tells. */
export function useLiveState(): LiveState {
  const connection = useConnection();
  return useSyncExternalStore(connection.watch, () => connection.state);
}

import { useQuery } from '@tanstack/react-query';
import { read } from '../../api/query.ts';
import { EventList } from '../../ui/fleet/event-list.tsx';

/** The newest events of a rollout, the newest first. */
export function RolloutEvents({ id }: { id: string }) {
  const events = useQuery(read('GET /api/v1/events', { query: { subject: `rollout:${id}`, order: 'desc', limit: 200 } }));
  return <EventList events={events} className="lines panel" />;
}

import { useQuery } from '@tanstack/react-query';
import { read } from '../../api/query.ts';
import { EventList } from '../../ui/fleet/event-list.tsx';

export function DeviceEvents({ id }: { id: string }) {
  const events = useQuery(read('GET /api/v1/devices/{id}/events', { path: { id }, query: { limit: 50 } }));
  return (
    <section className="panel">
      <h2>Events</h2>
      <EventList events={events} className="lines events" />
    </section>
  );
}

import { useQuery } from '@tanstack/react-query';
import { read } from '../../api/query.ts';
import { EventLine } from '../../ui/fleet/event-line.tsx';
import { Loaded } from '../../ui/states.tsx';

export function DeviceEvents({ id }: { id: string }) {
  const events = useQuery(read('GET /api/v1/devices/{id}/events', { path: { id }, query: { limit: 50 } }));
  return (
    <section className="panel">
      <h2>Events</h2>
      <Loaded result={events}>
        {({ items }) => (
          <ol className="lines events">
            {items.map((event) => (
              <li key={event.cursor}>
                <EventLine event={event} />
              </li>
            ))}
          </ol>
        )}
      </Loaded>
    </section>
  );
}

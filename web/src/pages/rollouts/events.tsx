import { useQuery } from '@tanstack/react-query';
import { read } from '../../api/query.ts';
import { EventLine } from '../../ui/fleet/event-line.tsx';
import { Loaded } from '../../ui/states.tsx';

export function RolloutEvents({ id }: { id: string }) {
  const events = useQuery(read('GET /api/v1/events', { query: { subject: `rollout:${id}`, limit: 200 } }));
  return (
    <Loaded result={events}>
      {({ items }) => (
        <ol className="lines panel">
          {items.map((event) => (
            <li key={event.cursor}>
              <EventLine event={event} />
            </li>
          ))}
        </ol>
      )}
    </Loaded>
  );
}

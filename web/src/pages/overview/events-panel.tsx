import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { read } from '../../api/query.ts';
import { EventLine } from '../../ui/fleet/event-line.tsx';
import { Loaded } from '../../ui/states.tsx';

const SHOWN = 30;

/** The newest events; they arrive live. */
export function EventsPanel() {
  const events = useQuery(read('GET /api/v1/events', { query: { order: 'desc', limit: SHOWN } }));
  return (
    <section className="panel" aria-label="Events">
      <h2>
        Events
        <Link to="/activity" className="link panel-more">
          All
        </Link>
      </h2>
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

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { read } from '../../api/query.ts';
import { EventList } from '../../ui/fleet/event-list.tsx';

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
      <EventList events={events} className="lines events" />
    </section>
  );
}

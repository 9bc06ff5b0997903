import type { UseQueryResult } from '@tanstack/react-query';
import { Loaded } from '../states.tsx';
import { EventLine, type ShownEvent } from './event-line.tsx';

/** Events in the order in which they were read. */
export function EventList({
  events,
  className,
}: {
  events: UseQueryResult<{ items: (ShownEvent & { cursor: number })[] }>;
  className: string;
}) {
  return (
    <Loaded result={events}>
      {({ items }) => (
        <ol className={className}>
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

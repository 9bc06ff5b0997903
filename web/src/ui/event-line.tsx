import { KINDS } from 'virtual:event-kinds';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { CircleAlert, Info, type LucideIcon, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Severity } from '../../../src/wire/event/kind.ts';
import { sentenceWith, sourceIdOf } from '../../../src/wire/event/sentence.ts';
import { severityBy } from '../../../src/wire/event/severity.ts';
import { call } from '../api/client.ts';
import { words } from './status.tsx';
import { Time } from './time.tsx';

/** An event of the API or of `/live`. */
export type ShownEvent = { type: string; at: string; subject: string; data: object };
type Named = ShownEvent & { data: Record<string, unknown> };

const LOOKS: Record<Severity, { icon: LucideIcon; word: string; tone: 'calm' | 'warn' | 'bad' }> = {
  info: { icon: Info, word: 'Information', tone: 'calm' },
  warning: { icon: TriangleAlert, word: 'Warning', tone: 'warn' },
  error: { icon: CircleAlert, word: 'Error', tone: 'bad' },
};

/** One event: its severity as an icon, what happened in a sentence that leads to its subject, and when. */
export function EventLine({ event }: { event: ShownEvent }) {
  const named = { ...event, data: event.data as Record<string, unknown> };
  const sourceName = useSourceName(named);
  const kind = KINDS[event.type];
  const { icon: Icon, word, tone } = LOOKS[kind === undefined ? 'info' : severityBy(kind.severity, named.data)];
  // A newer service may send types that this page does not know.
  const sentence = sentenceWith(kind?.sentence ?? words(event.type.replace('.', ' ')), named, sourceName);
  return (
    <div className="event-line">
      <span className="status" data-tone={tone} role="img" aria-label={word}>
        <Icon size={14} aria-hidden />
      </span>
      <span className="clip" title={sentence}>
        <SubjectLink event={named}>{sentence}</SubjectLink>
      </span>
      <Time at={event.at} />
    </div>
  );
}

function SubjectLink({ event: { subject, data }, children }: { event: Named; children: ReactNode }) {
  const at = subject.indexOf(':');
  const [noun, id] = [subject.slice(0, at), subject.slice(at + 1)];
  if (noun === 'device' && typeof data.conflictId === 'string' && typeof data.integration === 'string')
    return (
      <Link to="/integrations/$id" params={{ id: data.integration }} search={{ tab: 'conflicts' }}>
        {children}
      </Link>
    );
  const params = { id };
  if (noun === 'device')
    return (
      <Link to="/devices/$id" params={params}>
        {children}
      </Link>
    );
  if (noun === 'rollout')
    return (
      <Link to="/rollouts/$id" params={params}>
        {children}
      </Link>
    );
  if (noun === 'source')
    return (
      <Link to="/sources/$id" params={params}>
        {children}
      </Link>
    );
  if (noun === 'integration')
    return (
      <Link to="/integrations/$id" params={params}>
        {children}
      </Link>
    );
  const tab = noun === 'site' ? ('sites' as const) : noun === 'notification' ? ('notifications' as const) : undefined;
  return tab === undefined ? (
    children
  ) : (
    <Link to="/settings" search={{ tab }}>
      {children}
    </Link>
  );
}

const NAME_KEPT_MS = 300_000;

/** Few sources stand behind many events; each is asked for once. Its name is not read again at every event of the source. */
function useSourceName(event: Named): string | undefined {
  const id = sourceIdOf(event);
  const { data } = useQuery({
    queryKey: ['name of source', id],
    queryFn: ({ signal }) => call('GET /api/v1/sources/{id}', { path: { id: id ?? '' } }, signal),
    enabled: id !== undefined,
    staleTime: NAME_KEPT_MS,
    retry: false,
    select: ({ name }) => name,
  });
  return data;
}

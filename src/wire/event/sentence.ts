/** The sentence of an event, from its template in the table of events. Without schemas, so that the dashboard loads none. */

type Event = { type: string; subject: string; data: Record<string, unknown> };

/** Fields with a reason; the first one present is used. */
const REASONS = ['detail', 'reason', 'why', 'errors', 'lastError'];
const COUNTS = ['succeeded', 'failed', 'offline'];

/** Fills in the template `sentence` of the event's type. The text may hold words of a stranger. `sourceName`: the name of the event's source. */
export function sentenceWith(sentence: string, event: Event, sourceName: string | undefined): string {
  const said = sentence.replace(/\{(\w+)\}/g, (_all, field: string) => wordOf(event.data[field]));
  const counts = COUNTS.filter((field) => typeof event.data[field] === 'number').map((field) => `${event.data[field]} ${field}`);
  const reason = REASONS.map((field) => textOf(event.data[field])).find((text) => text !== '');
  const tail = `${counts.length === 0 ? '' : ` (${counts.join(', ')})`}${reason === undefined ? '' : `: ${reason}`}`;
  return `${whoOf(event, sourceName)} ${said}${tail}`;
}

/** Returns the id of the event's source, if it has one. */
export function sourceIdOf({ subject, data }: Pick<Event, 'subject' | 'data'>): string | undefined {
  if (subject.startsWith('source:')) return idOf(subject);
  return typeof data.sourceId === 'string' ? data.sourceId : undefined;
}

function whoOf({ type, subject, data }: Event, sourceName: string | undefined): string {
  const commit = textOf(data.commit).slice(0, 10);
  // A page of an integration's devices is one event.
  if (subject.startsWith('integration:')) return `Integration ${textOf(data.name) || idOf(subject)}`;
  switch (type.slice(0, type.indexOf('.'))) {
    case 'rollout':
      return `Rollout of ${[sourceName, commit].filter(Boolean).join(' ') || idOf(subject)}`;
    case 'revision':
      return `Commit ${commit} of ${sourceName ?? idOf(subject)}`;
    case 'source':
    case 'hook':
      return `Source ${sourceName ?? (textOf(data.name) || idOf(subject))}`;
    case 'merge_request':
      return `Merge request ${textOf(data.number)} of ${sourceName ?? idOf(subject)}`;
    case 'site':
      return `Site ${textOf(data.name) || idOf(subject)}`;
    case 'notification':
      return `Notification ${textOf(data.name)}`;
    case 'integrations':
      return 'Syncing with device platforms';
    case 'service':
      return 'The controller';
    default:
      return `Device ${idOf(subject)}`;
  }
}

function idOf(subject: string): string {
  return subject.slice(subject.indexOf(':') + 1);
}

function wordOf(value: unknown): string {
  return textOf(value)
    .replaceAll('_', ' ')
    .replace(/^ERROR$/, 'in error')
    .replace(/^[A-Z]+$/, (word) => word.toLowerCase());
}

/** Returns '' for values that do not fit in a line; for a list, its first item. */
function textOf(value: unknown): string {
  if (Array.isArray(value)) return textOf(value[0]);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

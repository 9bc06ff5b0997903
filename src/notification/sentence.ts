import type { Event } from '../event/event.ts';
import { foreignText } from '../git/problems.ts';
import { kindOf } from '../wire/event/events.ts';
import { sentenceWith } from '../wire/event/sentence.ts';

/** Writes one line for users, at most about 300 characters. `sourceName`: the name of the event's source. */
export function sentenceOf(event: Event, sourceName: string | undefined): string {
  return foreignText(sentenceWith(kindOf(event.type).sentence, event, sourceName));
}

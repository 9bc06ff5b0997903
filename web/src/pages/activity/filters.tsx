import { KINDS } from 'virtual:event-kinds';
import { Button, Select, TextField } from '@radix-ui/themes';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { X } from 'lucide-react';
import type { ReactNode } from 'react';
import { type TimeZone, useAppearance } from '../../app/appearance.tsx';
import { Field } from '../../ui/form/field.tsx';
import { SearchField } from '../../ui/search-field.tsx';
import { words } from '../../ui/status.tsx';
import type { ActivitySearch } from './search.ts';

const route = getRouteApi('/signed-in/activity');

type TextName = 'subject' | 'actor' | 'action';
type TimeName = 'after' | 'before';

/** Changes the address; what is undefined leaves it. A person's typing makes no history. */
function useFilter(): (change: ActivitySearch) => void {
  const navigate = useNavigate();
  const search = route.useSearch();
  return (change) => {
    const { at: _at, ...kept } = search;
    void navigate({ to: '/activity', search: given({ ...kept, ...change }), replace: true });
  };
}

function given(search: ActivitySearch): ActivitySearch {
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined && value !== ''));
}

export function TextFilter({ name, label }: { name: TextName; label: string }) {
  const filter = useFilter();
  return <SearchField label={label} value={route.useSearch()[name] ?? ''} onChange={(text) => filter({ [name]: text })} />;
}

export function TimeFilter({ name, label }: { name: TimeName; label: string }) {
  const { timeZone } = useAppearance();
  const stored = route.useSearch()[name];
  const filter = useFilter();
  const change = (typed: string) => filter({ [name]: typed === '' ? undefined : momentOf(typed, timeZone) });
  return (
    <Field label={`${label} (${timeZone === 'utc' ? 'UTC' : 'local'})`}>
      {(ids) => (
        <TextField.Root
          {...ids}
          type="datetime-local"
          defaultValue={inputOf(stored, timeZone)}
          key={`${stored} ${timeZone}`}
          onChange={(event) => change(event.target.value)}
        />
      )}
    </Field>
  );
}

function momentOf(typed: string, zone: TimeZone): string | undefined {
  const date = new Date(zone === 'utc' ? `${typed}Z` : typed);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

function inputOf(moment: string | undefined, zone: TimeZone): string {
  const date = new Date(moment ?? '');
  if (Number.isNaN(date.getTime())) return '';
  return date
    .toLocaleString('sv-SE', zone === 'utc' ? { timeZone: 'UTC' } : {})
    .slice(0, 16)
    .replace(' ', 'T');
}

const ANY = 'any';
const TYPES = Object.keys(KINDS);
const NOUNS = [...new Set(TYPES.map((type) => type.slice(0, type.indexOf('.'))))];

export function TypeFilter() {
  const { type = ANY } = route.useSearch();
  const filter = useFilter();
  return (
    <Field label="Type">
      {({ id }) => (
        <Select.Root value={type} onValueChange={(chosen) => filter({ type: chosen === ANY ? undefined : chosen })}>
          <Select.Trigger id={id} />
          <Select.Content>
            <Select.Item value={ANY}>All events</Select.Item>
            {NOUNS.map((noun) => (
              <Select.Group key={noun}>
                <Select.Label>{words(noun)}</Select.Label>
                <Select.Item value={`${noun}.*`}>{`All of ${words(noun).toLowerCase()}`}</Select.Item>
                {TYPES.filter((one) => one.startsWith(`${noun}.`)).map((one) => (
                  <Select.Item key={one} value={one}>
                    {one}
                  </Select.Item>
                ))}
              </Select.Group>
            ))}
          </Select.Content>
        </Select.Root>
      )}
    </Field>
  );
}

/** The filters of a log in one row, and a way to drop them all. */
export function Filters({ label, children }: { label: string; children: ReactNode }) {
  const { tab, at: _at, ...filters } = route.useSearch();
  const navigate = useNavigate();
  return (
    <search className="filters" aria-label={label}>
      {children}
      {Object.keys(filters).length > 0 && (
        <Button variant="ghost" color="gray" onClick={() => void navigate({ to: '/activity', search: tab === undefined ? {} : { tab } })}>
          <X size={14} aria-hidden /> Clear filters
        </Button>
      )}
    </search>
  );
}

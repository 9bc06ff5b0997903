import { Button, DropdownMenu, Flex, IconButton, Popover, TextField } from '@radix-ui/themes';
import { useNavigate } from '@tanstack/react-router';
import { Bookmark, X } from 'lucide-react';
import { useState } from 'react';
import { isFiltered } from './query.ts';
import { DevicesSearch } from './search.ts';

const KEY = 'bellwether.deviceFilters';
type Saved = { name: string; search: DevicesSearch };

/** Filters under a name, kept in this browser; a filter is shared by its address. */
export function SavedFilters({ search, onChange }: { search: DevicesSearch; onChange: (next: DevicesSearch) => void }) {
  const [saved, setSaved] = useState(load);
  const navigate = useNavigate({ from: '/devices' });
  const store = (next: Saved[]) => {
    localStorage.setItem(KEY, JSON.stringify(next));
    setSaved(next);
  };
  return (
    <Flex gap="2">
      {saved.length > 0 && (
        <DropdownMenu.Root>
          <DropdownMenu.Trigger>
            <Button variant="ghost" color="gray">
              <Bookmark size={14} aria-hidden /> Saved
            </Button>
          </DropdownMenu.Trigger>
          <DropdownMenu.Content>
            {saved.map(({ name, search: kept }) => (
              <DropdownMenu.Item key={name} onSelect={() => void navigate({ search: kept })}>
                {name}
              </DropdownMenu.Item>
            ))}
            <DropdownMenu.Separator />
            {saved.map(({ name }) => (
              <DropdownMenu.Item key={name} color="red" onSelect={() => store(saved.filter((each) => each.name !== name))}>
                Forget “{name}”
              </DropdownMenu.Item>
            ))}
          </DropdownMenu.Content>
        </DropdownMenu.Root>
      )}
      {isFiltered(search) && (
        <>
          <SaveButton onSave={(name) => store([...saved.filter((each) => each.name !== name), { name, search }])} />
          <IconButton variant="ghost" color="gray" aria-label="Clear the filter" onClick={() => onChange(CLEAR)}>
            <X size={14} />
          </IconButton>
        </>
      )}
    </Flex>
  );
}

const CLEAR: DevicesSearch = {
  ...{ q: undefined, status: undefined, connectivity: undefined, site: undefined, source: undefined, type: undefined },
  ...{ label: undefined, kind: undefined, integration: undefined, simulated: undefined, held: undefined, archived: undefined },
};

function SaveButton({ onSave }: { onSave: (name: string) => void }) {
  const [name, setName] = useState('');
  return (
    <Popover.Root>
      <Popover.Trigger>
        <Button variant="ghost" color="gray">
          Save filter
        </Button>
      </Popover.Trigger>
      <Popover.Content>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (name.trim() !== '') onSave(name.trim());
          }}
        >
          <Flex gap="2">
            <TextField.Root
              aria-label="Name of the filter"
              placeholder="Name"
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
            <Popover.Close>
              <Button type="submit">Save</Button>
            </Popover.Close>
          </Flex>
        </form>
      </Popover.Content>
    </Popover.Root>
  );
}

/** Filters that another version kept are read as an address is: unknown parts are left out. */
function load(): Saved[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    if (!Array.isArray(kept)) return [];
    return kept.flatMap((each: { name?: unknown; search?: unknown }) =>
      typeof each?.name === 'string' && typeof each.search === 'object' && each.search !== null
        ? [{ name: each.name, search: DevicesSearch(each.search as Record<string, unknown>) }]
        : [],
    );
  } catch {
    return [];
  }
}

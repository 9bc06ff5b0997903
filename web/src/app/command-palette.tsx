import { Dialog, Text, VisuallyHidden } from '@radix-ui/themes';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Command } from 'cmdk';
import { type ReactNode, useDeferredValue, useState } from 'react';
import { read } from '../api/query.ts';
import { useAppearance } from './appearance.tsx';
import { PLACES } from './navigation.ts';

type Props = { open: boolean; onOpenChange: (open: boolean) => void; onHelp: () => void };

/** Finds places, devices, rollouts and sources, and does what needs no page. */
export function CommandPalette({ open, onOpenChange, onHelp }: Props) {
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Content maxWidth="560px" className="palette" aria-describedby={undefined}>
        <VisuallyHidden>
          <Dialog.Title>Find or do anything</Dialog.Title>
        </VisuallyHidden>
        {open && <Palette close={() => onOpenChange(false)} onHelp={onHelp} />}
      </Dialog.Content>
    </Dialog.Root>
  );
}

function Palette({ close, onHelp }: { close: () => void; onHelp: () => void }) {
  const [text, setText] = useState('');
  const navigate = useNavigate();
  const { shown, timeZone, setScheme, setTimeZone } = useAppearance();
  const wanted = useDeferredValue(text.trim().toLowerCase());
  const { data: devices } = useQuery({
    ...read('GET /api/v1/devices', { query: { q: wanted, limit: 8 } }),
    enabled: wanted !== '',
    placeholderData: keepPreviousData,
  });
  const { data: sources } = useQuery(read('GET /api/v1/sources', { query: { limit: 100 } }));
  const act = (run: () => unknown) => () => {
    close();
    void run();
  };
  const matches = (title: string) => wanted === '' || title.toLowerCase().includes(wanted);
  const acts: [string, () => unknown][] = [
    [`Use ${shown === 'dark' ? 'light' : 'dark'} colours`, () => setScheme(shown === 'dark' ? 'light' : 'dark')],
    [`Show times in ${timeZone === 'utc' ? 'local time' : 'UTC'}`, () => setTimeZone(timeZone === 'utc' ? 'local' : 'utc')],
    ['Show keyboard help', onHelp],
    ['Show failed devices', () => navigate({ to: '/devices', search: { status: ['failed', 'rolled_back'] } })],
  ];
  return (
    <Command shouldFilter={false} label="Find or do anything" loop>
      <Command.Input value={text} onValueChange={setText} placeholder="Device id, source, page, act …" autoFocus />
      <Command.List>
        <Command.Empty>
          <Text size="2" color="gray">
            Nothing matches “{text}”. Devices are found by id, name and label.
          </Text>
        </Command.Empty>
        <Group heading="Devices" show={wanted !== '' && (devices?.items.length ?? 0) > 0}>
          {devices?.items.map(({ id, name }) => (
            <Command.Item key={id} value={`device ${id}`} onSelect={act(() => navigate({ to: '/devices/$id', params: { id } }))}>
              {id} {name !== id && <Text color="gray">{name}</Text>}
            </Command.Item>
          ))}
        </Group>
        <Group heading="Sources" show={wanted !== ''}>
          {sources?.items
            .filter(({ name }) => matches(name))
            .slice(0, 8)
            .map(({ id, name }) => (
              <Command.Item key={id} value={`source ${id}`} onSelect={act(() => navigate({ to: '/sources/$id', params: { id } }))}>
                {name}
              </Command.Item>
            ))}
        </Group>
        <Group heading="Pages" show>
          {PLACES.filter(({ title }) => matches(title)).map(({ to, title, icon: Icon }) => (
            <Command.Item key={to} value={`page ${to}`} onSelect={act(() => navigate({ to }))}>
              <Icon size={14} aria-hidden /> {title}
            </Command.Item>
          ))}
        </Group>
        <Group heading="Acts" show>
          {acts
            .filter(([title]) => matches(title))
            .map(([title, run]) => (
              <Command.Item key={title} value={title} onSelect={act(run)}>
                {title}
              </Command.Item>
            ))}
        </Group>
      </Command.List>
    </Command>
  );
}

function Group({ heading, show, children }: { heading: string; show: boolean; children: ReactNode }) {
  return show ? <Command.Group heading={heading}>{children}</Command.Group> : null;
}

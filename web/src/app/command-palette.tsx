import { Dialog, Text, VisuallyHidden } from '@radix-ui/themes';
import { Command } from 'cmdk';
import { useDeferredValue, useState } from 'react';
import { useReturnFocus } from '../ui/focus.ts';
import { useFindings } from './find.tsx';

type Props = { open: boolean; onOpenChange: (open: boolean) => void; onHelp: () => void };

/** Finds places, devices, rollouts and sources, and does what needs no page. */
export function CommandPalette({ open, onOpenChange, onHelp }: Props) {
  const onCloseAutoFocus = useReturnFocus(open);
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Content maxWidth="560px" className="palette" aria-describedby={undefined} onCloseAutoFocus={onCloseAutoFocus}>
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
  const [chosen, setChosen] = useState('');
  const groups = useFindings(useDeferredValue(text.trim().toLowerCase()), onHelp);
  const values = groups.flatMap(({ items }) => items.map(({ value }) => value));
  // Answers arrive after the text: what was chosen may be gone, and Enter must always open what stands first.
  const selected = values.includes(chosen) ? chosen : (values[0] ?? '');
  const type = (next: string) => {
    setText(next);
    setChosen('');
  };
  return (
    <Command shouldFilter={false} label="Find or do anything" loop value={selected} onValueChange={setChosen}>
      <Command.Input value={text} onValueChange={type} placeholder="Device id, rollout, source, page, act …" autoFocus />
      <Command.List>
        <Command.Empty>
          <Text size="2" color="gray">
            Nothing matches “{text}”. Devices are found by id, name and label, rollouts by their source and state.
          </Text>
        </Command.Empty>
        {groups.map(({ heading, items }) => (
          <Command.Group key={heading} heading={heading}>
            {items.map(({ value, shown, run }) => (
              <Command.Item
                key={value}
                value={value}
                onSelect={() => {
                  close();
                  void run();
                }}
              >
                {shown}
              </Command.Item>
            ))}
          </Command.Group>
        ))}
      </Command.List>
    </Command>
  );
}

import { Button, Dialog, Flex, Kbd, Table } from '@radix-ui/themes';
import { useReturnFocus } from '../ui/focus.ts';
import { PLACES } from './navigation.ts';

const KEYS: readonly [keys: string, does: string][] = [
  ['⌘K or Ctrl K', 'find a device, rollout or source, or do something'],
  ['/', 'search on this page'],
  ['?', 'this help'],
  ...PLACES.map(({ key, title }): [string, string] => [`g ${key}`, `go to ${title}`]),
  ['j or ↓', 'next row of a table'],
  ['k or ↑', 'previous row'],
  ['Enter', 'open the row'],
  ['x or Space', 'select the row'],
  ['Esc', 'close what is open, or select no row'],
];

export function HelpDialog({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const onCloseAutoFocus = useReturnFocus(open);
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Content maxWidth="480px" aria-describedby={undefined} onCloseAutoFocus={onCloseAutoFocus}>
        <Dialog.Title>Keyboard</Dialog.Title>
        <Table.Root size="1">
          <Table.Body>
            {KEYS.map(([keys, does]) => (
              <Table.Row key={keys}>
                <Table.RowHeaderCell>
                  <Kbd>{keys}</Kbd>
                </Table.RowHeaderCell>
                <Table.Cell>{does}</Table.Cell>
              </Table.Row>
            ))}
          </Table.Body>
        </Table.Root>
        <Flex justify="end" mt="4">
          <Dialog.Close>
            <Button variant="soft">Close</Button>
          </Dialog.Close>
        </Flex>
      </Dialog.Content>
    </Dialog.Root>
  );
}

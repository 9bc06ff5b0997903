import { Button, Dialog, Flex, Text } from '@radix-ui/themes';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Plus } from 'lucide-react';
import type { ReactNode } from 'react';
import { CopyText } from '../../ui/values/copy.tsx';

/** The button and the dialog of something new; that it is open stands in the address. */
export function NewDialog({ label, title, children }: { label: string; title: string; children: (close: () => void) => ReactNode }) {
  const { new: isOpen = false, tab } = useSearch({ from: '/signed-in/settings' });
  const navigate = useNavigate({ from: '/settings' });
  const show = (open: boolean) => void navigate({ search: { ...(tab === undefined ? {} : { tab }), ...(open ? { new: true } : {}) } });
  return (
    <Dialog.Root open={isOpen} onOpenChange={show}>
      <Dialog.Trigger>
        <Button>
          <Plus size={14} aria-hidden /> {label}
        </Button>
      </Dialog.Trigger>
      <Dialog.Content maxWidth="520px" aria-describedby={undefined}>
        <Dialog.Title size="4">{title}</Dialog.Title>
        {isOpen && children(() => show(false))}
      </Dialog.Content>
    </Dialog.Root>
  );
}

export function CancelButton() {
  return (
    <Dialog.Close>
      <Button variant="soft" color="gray" type="button">
        Cancel
      </Button>
    </Dialog.Close>
  );
}

/** A secret that the API shows only once. */
export function ShownOnce({ secret, label, children }: { secret: string; label: string; children: ReactNode }) {
  return (
    <Flex direction="column" gap="3">
      <Text size="2">{children}</Text>
      <CopyText text={secret} label={label} />
      <Flex justify="end">
        <Dialog.Close>
          <Button>Done</Button>
        </Dialog.Close>
      </Flex>
    </Flex>
  );
}

import { AlertDialog, Button, Flex } from '@radix-ui/themes';
import { type ReactNode, useState } from 'react';
import { ErrorState } from '../../../ui/states.tsx';

type Props = {
  isOpen: boolean;
  onClose: () => void;
  title: string;
  act: string;
  children: ReactNode;
  onConfirm: () => Promise<unknown>;
};

/** As `Confirm`, for an act that is chosen in a menu, which closes before the dialog opens. */
export function AskFirst({ isOpen, onClose, title, act, children, onConfirm }: Props) {
  const [error, setError] = useState<Error>();
  const [isBusy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await onConfirm();
      onClose();
    } catch (failure) {
      setError(failure instanceof Error ? failure : new Error(String(failure)));
    } finally {
      setBusy(false);
    }
  };
  return (
    <AlertDialog.Root open={isOpen} onOpenChange={(open) => open || onClose()}>
      <AlertDialog.Content maxWidth="560px" aria-describedby={undefined}>
        <AlertDialog.Title size="4">{title}</AlertDialog.Title>
        <Flex direction="column" gap="3">
          {children}
          {error !== undefined && <ErrorState error={error} />}
        </Flex>
        <Flex gap="3" mt="4" justify="end">
          <AlertDialog.Cancel>
            <Button variant="soft" color="gray">
              Cancel
            </Button>
          </AlertDialog.Cancel>
          <Button color="red" loading={isBusy} onClick={() => void confirm()}>
            {act}
          </Button>
        </Flex>
      </AlertDialog.Content>
    </AlertDialog.Root>
  );
}

import { AlertDialog, Button, Flex } from '@radix-ui/themes';
import { type ReactNode, useId, useState } from 'react';
import { useReturnFocus } from './focus.ts';
import { ErrorState } from './states.tsx';

type Asked = {
  title: string;
  /** Number of devices that the act touches, and the change that they get. Read when the dialog opens. */
  children?: ReactNode;
  /** The act in one verb: "Abort rollout". */
  act: string;
  danger?: boolean;
  onConfirm: () => Promise<unknown>;
  disabled?: boolean;
};

/** Asks before an act that touches devices. */
export function Confirm({ trigger, ...asked }: Asked & { /** The button that asks. */ trigger: ReactNode }) {
  const [open, setOpen] = useState(false);
  return <ConfirmDialog {...asked} trigger={trigger} open={open} onOpenChange={setOpen} />;
}

type Controlled = Asked & { open: boolean; onOpenChange: (open: boolean) => void; trigger?: ReactNode };

/**
 * `Confirm` whose caller opens it, as from a menu, which closes before the dialog opens. An error stays in the dialog until it is closed, so that nothing
 * typed is lost.
 */
export function ConfirmDialog({
  open,
  onOpenChange,
  trigger,
  title,
  children,
  act,
  danger = false,
  onConfirm,
  disabled = false,
}: Controlled) {
  const [error, setError] = useState<Error>();
  const [isBusy, setBusy] = useState(false);
  const described = useId();
  const onCloseAutoFocus = useReturnFocus(open);
  const change = (next: boolean) => {
    setError(undefined);
    onOpenChange(next);
  };
  const confirm = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await onConfirm();
      onOpenChange(false);
    } catch (failure) {
      setError(failure instanceof Error ? failure : new Error(String(failure)));
    } finally {
      setBusy(false);
    }
  };
  return (
    <AlertDialog.Root open={open} onOpenChange={change}>
      {trigger !== undefined && <AlertDialog.Trigger>{trigger}</AlertDialog.Trigger>}
      <AlertDialog.Content maxWidth="560px" aria-describedby={described} {...(trigger === undefined ? { onCloseAutoFocus } : {})}>
        <AlertDialog.Title size="4">{title}</AlertDialog.Title>
        <Flex direction="column" gap="3" id={described}>
          {open && children}
          {error !== undefined && <ErrorState error={error} />}
        </Flex>
        <Flex gap="3" mt="4" justify="end">
          <AlertDialog.Cancel>
            <Button variant="soft" color="gray">
              Cancel
            </Button>
          </AlertDialog.Cancel>
          <Button color={danger ? 'red' : 'indigo'} loading={isBusy} disabled={disabled} onClick={() => void confirm()}>
            {act}
          </Button>
        </Flex>
      </AlertDialog.Content>
    </AlertDialog.Root>
  );
}

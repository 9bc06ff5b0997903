import { Button, Callout, Flex } from '@radix-ui/themes';
import { KeyRound } from 'lucide-react';
import { CopyText } from '../../ui/values/copy.tsx';

/** A new hook secret. The service shows it this once. */
export function HookSecret({ secret, hookUrl, onDone }: { secret: string; hookUrl: string; onDone: () => void }) {
  return (
    <section className="panel" aria-label="Hook of the platform">
      <h2>Hook of the platform</h2>
      <div className="panel-body stack">
        <Callout.Root color="amber">
          <Callout.Icon>
            <KeyRound size={16} />
          </Callout.Icon>
          <Callout.Text>Enter both at the platform now. The secret is not shown again; a lost one is replaced.</Callout.Text>
        </Callout.Root>
        <p className="hint">Address</p>
        <CopyText label="the address" text={hookUrl} />
        <p className="hint">Secret</p>
        <CopyText label="the secret" text={secret} />
        <Flex>
          <Button onClick={onDone}>Done</Button>
        </Flex>
      </div>
    </section>
  );
}

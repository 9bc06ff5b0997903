import { Button, Text } from '@radix-ui/themes';
import { useState } from 'react';
import { useAct } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Integration } from '../../../generated/api.ts';
import { Confirm } from '../../../ui/confirm.tsx';
import { CopyText } from '../../../ui/values/copy.tsx';
import { HookSecret } from '../hook-secret.tsx';

/** The address that the platform calls when something changed there, and the secret by which it proves itself. */
export function Hook({ integration: { slug, hookUrl, hookSecretLast4 } }: { integration: Integration }) {
  const mayRenew = useMay('admin');
  const [renewed, setRenewed] = useState<{ secret: string; hookUrl: string }>();
  const renew = useAct('POST /api/v1/integrations/{id}/hook-secret');
  const run = async () => setRenewed(await renew.mutateAsync({ path: { id: slug }, body: {} }));
  if (renewed !== undefined) return <HookSecret {...renewed} onDone={() => setRenewed(undefined)} />;
  const act = hookSecretLast4 === null ? 'Create a secret' : 'Replace the secret';
  return (
    <section className="panel">
      <h2>Hook of the platform</h2>
      <div className="panel-body stack">
        <p className="hint">Address</p>
        <CopyText label="the address" text={hookUrl} />
        <Text as="p" size="2">
          {hookSecretLast4 === null ? (
            'There is no secret yet: hooks are refused, and changes at the platform are seen at the next sync.'
          ) : (
            <>
              Secret <span className="mono">•••• {hookSecretLast4}</span>
            </>
          )}
        </Text>
        {mayRenew && (
          <Confirm
            trigger={
              <Button variant="soft" color="gray" size="1" style={{ alignSelf: 'start' }}>
                {act}
              </Button>
            }
            title={`${act}?`}
            act={act}
            onConfirm={run}
          >
            <Text as="p" size="2">
              {hookSecretLast4 === null
                ? 'The platform proves its hooks by it. It is shown once.'
                : 'The old secret stops at once: hooks are refused until the platform has the new one, which is shown once.'}
            </Text>
          </Confirm>
        )}
      </div>
    </section>
  );
}

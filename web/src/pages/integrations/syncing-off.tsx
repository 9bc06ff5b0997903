import { Button, Callout, Flex } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { CirclePause } from 'lucide-react';
import { read, useAct } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import { ErrorState } from '../../ui/states.tsx';

/** Says that the master switch is off, wherever that explains why nothing syncs. */
export function SyncingOff() {
  const { data } = useQuery(read('GET /api/v1/integrations/settings', {}));
  const maySwitch = useMay('admin');
  const change = useAct('PUT /api/v1/integrations/settings');
  if (data === undefined || data.syncingEnabled || data.primary === null) return null;
  return (
    <Callout.Root color="amber">
      <Callout.Icon>
        <CirclePause size={16} />
      </Callout.Icon>
      <Callout.Text>Syncing is switched off for the whole organization: no integration syncs until it is switched on.</Callout.Text>
      {change.error !== null && <ErrorState error={change.error} />}
      {maySwitch && (
        <Flex>
          <Button size="1" variant="soft" loading={change.isPending} onClick={() => change.mutate({ body: { syncingEnabled: true } })}>
            Switch syncing on
          </Button>
        </Flex>
      )}
    </Callout.Root>
  );
}

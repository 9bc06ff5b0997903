import { Button, DropdownMenu, IconButton, Text } from '@radix-ui/themes';
import { useNavigate } from '@tanstack/react-router';
import { Ellipsis, RefreshCw } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { useAct } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Integration } from '../../../generated/api.ts';
import { ConfirmDialog } from '../../../ui/confirm.tsx';
import { ErrorState } from '../../../ui/states.tsx';
import type { SyncState } from '../sync-status.ts';

type Props = { integration: Integration; sync: SyncState };

export function IntegrationActs({ integration, sync }: Props) {
  const maySync = useMay('operator');
  const mayChange = useMay('admin');
  const mayRunNow = integration.enabled && integration.blockedReason === null && sync.query.data?.syncingEnabled !== false;
  return (
    <>
      {sync.error !== null && <ErrorState error={sync.error} />}
      {maySync && mayRunNow && (
        <Button onClick={sync.request} loading={sync.isRunning}>
          <RefreshCw size={14} aria-hidden /> Sync now
        </Button>
      )}
      {mayChange && <MoreActs {...{ integration }} devices={sync.query.data?.devices} />}
    </>
  );
}

type Asked = 'disable' | 'delete';

function MoreActs({
  integration: { slug, enabled, primary, name },
  devices,
}: Pick<Props, 'integration'> & { devices: number | undefined }) {
  const [asked, setAsked] = useState<Asked>();
  const navigate = useNavigate();
  const change = useAct('PATCH /api/v1/integrations/{id}');
  const choose = useAct('POST /api/v1/integrations/{id}/set-primary');
  const remove = useAct('DELETE /api/v1/integrations/{id}');
  const path = { id: slug };
  const error = change.error ?? choose.error;
  return (
    <>
      {error !== null && asked === undefined && <ErrorState error={error} />}
      <DropdownMenu.Root>
        <DropdownMenu.Trigger>
          <IconButton variant="soft" color="gray" aria-label={`More acts on ${name}`}>
            <Ellipsis size={16} />
          </IconButton>
        </DropdownMenu.Trigger>
        <DropdownMenu.Content align="end">
          {!primary && <DropdownMenu.Item onSelect={() => choose.mutate({ path })}>Make it the primary</DropdownMenu.Item>}
          {enabled ? (
            <DropdownMenu.Item onSelect={() => setAsked('disable')}>Switch off …</DropdownMenu.Item>
          ) : (
            <DropdownMenu.Item onSelect={() => change.mutate({ path, body: { enabled: true } })}>Switch on</DropdownMenu.Item>
          )}
          <DropdownMenu.Item color="red" onSelect={() => setAsked('delete')}>
            Remove …
          </DropdownMenu.Item>
        </DropdownMenu.Content>
      </DropdownMenu.Root>
      <ConfirmDialog
        danger
        open={asked === 'disable'}
        onOpenChange={() => setAsked(undefined)}
        title={`Switch ${name} off?`}
        act="Switch off"
        onConfirm={() => change.mutateAsync({ path, body: { enabled: false } })}
      >
        <Touched devices={devices}>are no longer synced and get no configuration through it until it is switched on.</Touched>
      </ConfirmDialog>
      <ConfirmDialog
        danger
        open={asked === 'delete'}
        onOpenChange={() => setAsked(undefined)}
        title={`Remove ${name}?`}
        act="Remove"
        onConfirm={async () => {
          await remove.mutateAsync({ path, query: { force: true } });
          await navigate({ to: '/integrations' });
        }}
      >
        <Touched devices={devices}>stay here and at the platform. Their assignments, conflicts and the history are removed.</Touched>
      </ConfirmDialog>
    </>
  );
}

function Touched({ devices, children }: { devices: number | undefined; children: ReactNode }) {
  return (
    <Text as="p" size="2">
      {devices === undefined ? 'Its devices' : `${devices.toLocaleString('en')} ${devices === 1 ? 'device' : 'devices'}`} {children}
    </Text>
  );
}

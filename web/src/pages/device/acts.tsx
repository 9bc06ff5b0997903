import { Button, DropdownMenu, Text, TextField } from '@radix-ui/themes';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { ChevronDown } from 'lucide-react';
import { useState } from 'react';
import { call } from '../../api/client.ts';
import { outdate } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import type { Device } from '../../generated/api.ts';
import { Confirm } from '../../ui/confirm.tsx';

/** The acts that are possible now. All of them touch this one device. */
export function DeviceActs({ device }: { device: Device }) {
  const mayOperate = useMay('operator');
  const client = useQueryClient();
  if (!mayOperate) return null;
  const path = { id: device.id };
  const after = () => outdate(client, ['devices', 'attention', 'summary']);
  const failed = device.syncStatus === 'failed' || device.syncStatus === 'rolled_back';
  return (
    <>
      {failed && (
        <Act
          title="Retry"
          detail="The device tries the same bundle again."
          run={() => call('POST /api/v1/devices/{id}/retry', { path })}
          after={after}
        />
      )}
      {device.hold === null ? (
        <Hold device={device} after={after} />
      ) : (
        <Act
          title="Release"
          detail="The device follows its source again, and gets the newest revision."
          run={() => call('DELETE /api/v1/devices/{id}/hold', { path })}
          after={after}
        />
      )}
      {device.sourceId !== null && (
        <Act
          title="Refresh"
          detail="The source of this device is checked now."
          run={() => call('POST /api/v1/devices/{id}/refresh', { path })}
          after={after}
        />
      )}
      {device.lastGood !== null && <RollBack device={device} after={after} />}
      <More device={device} after={after} />
    </>
  );
}

type After = { after: () => Promise<void> };

function Act({ title, detail, run, after }: { title: string; detail: string; run: () => Promise<unknown> } & After) {
  return (
    <Confirm
      trigger={
        <Button variant="surface" color="gray">
          {title}
        </Button>
      }
      title={`${title}?`}
      act={title}
      onConfirm={async () => {
        await run();
        await after();
      }}
    >
      <Text size="2">{detail} It touches one device.</Text>
    </Confirm>
  );
}

function Hold({ device, after }: { device: Device } & After) {
  const [reason, setReason] = useState('');
  const hold = async () => {
    await call('POST /api/v1/devices/{id}/hold', { path: { id: device.id }, body: reason.trim() === '' ? {} : { reason: reason.trim() } });
    await after();
  };
  return (
    <Confirm
      trigger={
        <Button variant="surface" color="gray">
          Hold
        </Button>
      }
      title={`Hold ${device.id}?`}
      act="Hold"
      onConfirm={hold}
    >
      <Text size="2">Automation leaves the device as it is until somebody releases it.</Text>
      <TextField.Root
        aria-label="Reason"
        placeholder="Reason"
        value={reason}
        maxLength={500}
        onChange={(event) => setReason(event.target.value)}
      />
    </Confirm>
  );
}

function RollBack({ device, after }: { device: Device } & After) {
  const run = async () => {
    await call('POST /api/v1/devices/{id}/rollback', { path: { id: device.id }, body: {} });
    await after();
  };
  return (
    <Confirm
      trigger={
        <Button variant="surface" color="red">
          Roll back
        </Button>
      }
      title={`Roll ${device.id} back?`}
      act="Roll back"
      danger
      onConfirm={run}
    >
      <Text size="2">
        The device gets the state before its last change, and is held there until somebody releases it. “Backups” has older states.
      </Text>
    </Confirm>
  );
}

function More({ device, after }: { device: Device } & After) {
  const [open, setOpen] = useState<'stop' | 'start'>();
  const navigate = useNavigate();
  const mayAdmin = useMay('operator');
  const run = (act: 'stop' | 'start') => async () => {
    setOpen(act);
    await call(act === 'stop' ? 'POST /api/v1/devices/{id}/stop' : 'POST /api/v1/devices/{id}/start', { path: { id: device.id } }).finally(
      () => setOpen(undefined),
    );
    await after();
  };
  const remove = async () => {
    await call('DELETE /api/v1/devices/{id}', { path: { id: device.id } });
    await after();
    await navigate({ to: '/devices' });
  };
  return (
    <>
      {device.sourceId !== null && (
        <DropdownMenu.Root>
          <DropdownMenu.Trigger>
            <Button variant="surface" color="gray" loading={open !== undefined} aria-label="More acts">
              More <ChevronDown size={12} aria-hidden />
            </Button>
          </DropdownMenu.Trigger>
          <DropdownMenu.Content>
            <DropdownMenu.Item onSelect={() => void run(device.following ? 'stop' : 'start')()}>
              {device.following ? 'Stop following the source' : 'Follow the source'}
            </DropdownMenu.Item>
          </DropdownMenu.Content>
        </DropdownMenu.Root>
      )}
      {mayAdmin && (
        <Confirm
          trigger={
            <Button variant="surface" color="red">
              Delete
            </Button>
          }
          title={`Delete ${device.id}?`}
          act="Delete"
          danger
          onConfirm={remove}
        >
          <Text size="2">Its history, backups and key are deleted here. The device keeps what it runs.</Text>
        </Confirm>
      )}
    </>
  );
}

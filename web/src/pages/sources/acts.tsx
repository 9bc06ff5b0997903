import { Button, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { CirclePause, Play, RefreshCw } from 'lucide-react';
import { useState } from 'react';
import { read, useAct } from '../../api/query.ts';
import type { Source } from '../../generated/api.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { TextInput } from '../../ui/form/form.tsx';
import { ErrorState } from '../../ui/states.tsx';
import { RollBack } from './roll-back.tsx';

/** The acts of an operator on a source. */
export function SourceActs({ source }: { source: Source }) {
  const sync = useAct('POST /api/v1/sources/{id}/sync');
  const path = { id: source.id };
  return (
    <>
      <Button variant="soft" loading={sync.isPending} onClick={() => sync.mutate({ path })}>
        <RefreshCw size={14} aria-hidden /> Sync now
      </Button>
      {source.hold === null ? <HoldSource source={source} /> : <ReleaseSource source={source} />}
      <RollBack source={source} />
      {sync.error !== null && <ErrorState error={sync.error} />}
    </>
  );
}

/** How many devices an act on the source touches. */
export function TouchedDevices({ sourceId, verb }: { sourceId: string; verb: string }) {
  const { data } = useQuery(read('GET /api/v1/devices/counts', { query: { source: [sourceId] } }));
  if (data === undefined) return <Text size="2">Counting the devices …</Text>;
  return (
    <Text size="2">
      <b>{data.total.toLocaleString('en')}</b> {data.total === 1 ? 'device follows' : 'devices follow'} this source. {verb}
    </Text>
  );
}

const TOUCHED = ['sources', 'devices', 'rollouts'];

function HoldSource({ source }: { source: Source }) {
  const [reason, setReason] = useState('');
  const hold = useAct('POST /api/v1/sources/{id}/hold', { outdates: TOUCHED });
  return (
    <Confirm
      trigger={
        <Button variant="soft" color="gray">
          <CirclePause size={14} aria-hidden /> Hold
        </Button>
      }
      title={`Hold ${source.name}?`}
      act="Hold source"
      onConfirm={() => hold.mutateAsync({ path: { id: source.id }, body: reason === '' ? {} : { reason } })}
    >
      <TouchedDevices sourceId={source.id} verb="They keep their present bundles until the source is released." />
      <TextInput label="Reason" name="reason" value={reason} onChange={setReason} placeholder="Inventory week" />
    </Confirm>
  );
}

function ReleaseSource({ source }: { source: Source }) {
  const release = useAct('DELETE /api/v1/sources/{id}/hold', { outdates: TOUCHED });
  return (
    <Confirm
      trigger={
        <Button variant="soft">
          <Play size={14} aria-hidden /> Release
        </Button>
      }
      title={`Release ${source.name}?`}
      act="Release source"
      onConfirm={() => release.mutateAsync({ path: { id: source.id } })}
    >
      <TouchedDevices sourceId={source.id} verb="They follow it again, and get its newest valid commit by a rollout." />
    </Confirm>
  );
}

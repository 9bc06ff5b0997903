import { Progress, Text } from '@radix-ui/themes';
import type { IntegrationRun, IntegrationSyncStatus } from '../../../generated/api.ts';
import { State } from '../../../ui/status.tsx';
import { duration, Time } from '../../../ui/time.tsx';
import { countsText } from '../counts.ts';

type Props = { status: IntegrationSyncStatus; isRequested: boolean };

/** The run in progress with its counts so far; else how the last one ended. */
export function SyncProgress({ status: { running, lastRun, devices, state }, isRequested }: Props) {
  if (running !== null) return <Running run={running} devices={devices} />;
  if (isRequested || state === 'new')
    return (
      <Text as="p" size="2" role="status">
        {state === 'new' ? 'The first sync has not ended yet.' : 'The sync begins …'}
      </Text>
    );
  return lastRun === null ? null : <Ended run={lastRun} />;
}

function Running({ run: { counts, operation }, devices }: { run: IntegrationRun; devices: number }) {
  const seen = counts.seen.toLocaleString('en');
  // At the first sync nobody knows how many there are.
  const share = devices > counts.seen ? Math.round((counts.seen / devices) * 100) : undefined;
  return (
    <div className="field" role="status">
      <Text size="2" weight="medium">
        {operation === 'walk' ? `Syncing: ${seen} devices read` : 'Writing waiting values to the platform'}
      </Text>
      <Progress aria-label="Progress of the sync" {...(share !== undefined && { value: share })} />
      <Text size="1" color="gray">
        {countsText(counts)}
      </Text>
    </div>
  );
}

function Ended({ run: { status, finishedAt, durationMs, counts, error } }: { run: IntegrationRun }) {
  return (
    <div className="field" role="status">
      <Text size="2">
        <State state={status} /> <Time at={finishedAt} />
        {durationMs === null ? '' : ` in ${duration(durationMs)}`}
      </Text>
      <Text size="1" color="gray">
        {error === null ? countsText(counts) : error.detail}
      </Text>
    </div>
  );
}

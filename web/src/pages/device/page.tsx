import { Box, Callout, TabNav, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link, useParams, useSearch } from '@tanstack/react-router';
import { CircleCheckBig, CircleHelp } from 'lucide-react';
import { lazy, Suspense } from 'react';
import { read } from '../../api/query.ts';
import type { DeviceStatus } from '../../generated/api.ts';
import { useLive } from '../../live/live.tsx';
import { KindBadge } from '../../ui/fleet/kind-badge.tsx';
import { Connectivity, SyncStatus } from '../../ui/fleet/status.tsx';
import { PageHead } from '../../ui/page-head.tsx';
import { Loaded, Loading } from '../../ui/states.tsx';
import { Time } from '../../ui/time.tsx';
import { DeviceActs } from './acts.tsx';
import { BackupsTab } from './backups-tab.tsx';
import { CommandsTab } from './commands-tab.tsx';
import { HistoryTab } from './history-tab.tsx';
import { LogTab } from './log/log-tab.tsx';
import { SummaryTab } from './summary-tab.tsx';
import { VendorTab } from './vendor-tab.tsx';

// Highlighting and charts are loaded where they are shown.
const FilesTab = lazy(async () => ({ default: (await import('./files/files-tab.tsx')).FilesTab }));
const PreviewTab = lazy(async () => ({ default: (await import('./files/preview-tab.tsx')).PreviewTab }));
const TelemetryTab = lazy(async () => ({ default: (await import('./telemetry-tab.tsx')).TelemetryTab }));

const TABS = [
  ['summary', 'Summary'],
  ['files', 'Files'],
  ['history', 'Attempts'],
  ['backups', 'Backups'],
  ['telemetry', 'Telemetry'],
  ['commands', 'Commands'],
  ['log', 'Log'],
  ['vendor', 'Platform'],
  ['preview', 'Preview'],
] as const;

export function DevicePage() {
  const { id } = useParams({ from: '/signed-in/devices/$id' });
  const status = useQuery(read('GET /api/v1/devices/{id}/status', { path: { id } }));
  useLive([`device:${id}`], () => undefined);
  return <Loaded result={status}>{(data) => <DeviceView status={data} />}</Loaded>;
}

function DeviceView({ status }: { status: DeviceStatus }) {
  const { tab = 'summary' } = useSearch({ from: '/signed-in/devices/$id' });
  const { device } = status;
  const tabs = TABS.filter(
    ([name]) => (name !== 'vendor' || device.sourceKind === 'EXTERNAL') && (name !== 'preview' || device.sourceId !== null),
  );
  return (
    <>
      <PageHead
        title={device.id}
        beside={
          <Text size="2" className="device-state">
            {device.name !== device.id && <Text color="gray">{device.name}</Text>} <SyncStatus status={device.syncStatus} />{' '}
            <Connectivity connectivity={device.connectivity} /> <KindBadge device={device} />
          </Text>
        }
        acts={<DeviceActs device={device} />}
      />
      <Why status={status} />
      <TabNav.Root>
        {tabs.map(([name, title]) => (
          <TabNav.Link key={name} asChild active={tab === name}>
            <Link to="/devices/$id" params={{ id: device.id }} search={{ tab: name }}>
              {title}
            </Link>
          </TabNav.Link>
        ))}
      </TabNav.Root>
      <Box pt="4">
        <Suspense fallback={<Loading />}>
          <Tab name={tab} status={status} />
        </Suspense>
      </Box>
    </>
  );
}

function Tab({ name, status }: { name: (typeof TABS)[number][0]; status: DeviceStatus }) {
  const { device } = status;
  switch (name) {
    case 'summary':
      return <SummaryTab status={status} />;
    case 'files':
      return <FilesTab device={device} />;
    case 'history':
      return <HistoryTab id={device.id} />;
    case 'backups':
      return <BackupsTab id={device.id} />;
    case 'telemetry':
      return <TelemetryTab id={device.id} />;
    case 'commands':
      return <CommandsTab id={device.id} />;
    case 'log':
      return <LogTab id={device.id} />;
    case 'vendor':
      return <VendorTab id={device.id} />;
    case 'preview':
      return <PreviewTab id={device.id} />;
  }
}

/** The chain of blockers in sentences, the first one first. */
function Why({ status: { converged, why } }: { status: DeviceStatus }) {
  const [first, ...others] = why;
  if (first === undefined)
    return converged ? (
      <Callout.Root color="green" size="1" mb="4">
        <Callout.Icon>
          <CircleCheckBig size={16} />
        </Callout.Icon>
        <Callout.Text>It runs what Git says.</Callout.Text>
      </Callout.Root>
    ) : null;
  return (
    <Callout.Root color="amber" size="1" mb="4" role="status">
      <Callout.Icon>
        <CircleHelp size={16} />
      </Callout.Icon>
      <Callout.Text>
        <strong>{first.detail}</strong>
        {first.since !== null && (
          <>
            {' '}
            (since <Time at={first.since} />)
          </>
        )}
        . It ends with {first.unblockedBy}.
        {others.map(({ code, detail, unblockedBy }) => (
          <span key={code} className="blocker">
            Then: {detail}. It ends with {unblockedBy}.
          </span>
        ))}
      </Callout.Text>
    </Callout.Root>
  );
}

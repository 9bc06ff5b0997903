import { Badge, Text } from '@radix-ui/themes';
import { Link } from '@tanstack/react-router';
import type { ItemOf } from '../../api/query.ts';
import { KindBadge } from '../../ui/fleet/kind-badge.tsx';
import { SiteName } from '../../ui/fleet/site-name.tsx';
import { Connectivity, SyncStatus } from '../../ui/fleet/status.tsx';
import type { Column } from '../../ui/table/data-table.tsx';
import { Time } from '../../ui/time.tsx';

type Row = ItemOf<'GET /api/v1/devices'>;

export const COLUMNS: readonly Column<Row>[] = [
  {
    id: 'id',
    title: 'Device',
    width: 'minmax(180px, 2fr)',
    sort: 'id',
    cell: ({ id, name }) => (
      <Link to="/devices/$id" params={{ id }} className="row-link">
        <Text weight="medium">{id}</Text> {name !== id && <Text color="gray">{name}</Text>}
      </Link>
    ),
  },
  { id: 'status', title: 'State', width: '150px', sort: 'status', cell: ({ syncStatus }) => <SyncStatus status={syncStatus} /> },
  { id: 'commit', title: 'Commit', width: '150px', cell: Commit },
  { id: 'connectivity', title: 'Connection', width: '120px', cell: ({ connectivity }) => <Connectivity connectivity={connectivity} /> },
  { id: 'seen', title: 'Last seen', width: '110px', sort: 'lastSeen', cell: ({ lastSeenAt }) => <Time at={lastSeenAt} /> },
  { id: 'site', title: 'Site', width: 'minmax(100px, 1fr)', sort: 'site', cell: ({ siteId }) => <SiteName id={siteId} /> },
  { id: 'type', title: 'Type', width: 'minmax(80px, .7fr)', sort: 'type', cell: ({ type }) => type },
  { id: 'kind', title: 'Kind', width: '110px', cell: (device) => <KindBadge device={device} /> },
];

function Commit({ runningCommit, behind }: Row) {
  if (runningCommit === null) return <Text color="gray">none yet</Text>;
  return (
    <>
      <span className="mono">{runningCommit.slice(0, 8)}</span> {behind === true && <Badge color="amber">behind</Badge>}
    </>
  );
}

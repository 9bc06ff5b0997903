import { Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { read } from '../../api/query.ts';
import type { DeviceCounts } from '../../generated/api.ts';
import { Connectivity, SyncStatus, syncWord, toneOfSync } from '../../ui/fleet/status.tsx';
import { Loaded } from '../../ui/states.tsx';
import { SYNC_STATUSES } from '../devices/search.ts';

const CONNECTIONS = ['online', 'offline', 'unknown'] as const;

/** The fleet by state: each number leads to its devices. */
export function FleetPanel() {
  const counts = useQuery(read('GET /api/v1/devices/counts', { query: {} }));
  return (
    <section className="panel" aria-label="Fleet">
      <Loaded result={counts} lines={2}>
        {(data) => <Fleet counts={data} />}
      </Loaded>
    </section>
  );
}

function Fleet({ counts }: { counts: DeviceCounts }) {
  const states = SYNC_STATUSES.filter((status) => (counts.byStatus[status] ?? 0) > 0);
  return (
    <div className="panel-body fleet">
      <Link to="/devices" className="fleet-count">
        <Text size="6" weight="medium" className="num">
          {counts.total.toLocaleString('en')}
        </Text>
        <Text size="2" color="gray">
          devices
        </Text>
      </Link>
      {states.map((status) => (
        <Link key={status} to="/devices" search={{ status: [status] }} className="fleet-count">
          <Text size="6" weight="medium" className="num">
            {counts.byStatus[status]?.toLocaleString('en')}
          </Text>
          <Text size="2">
            <SyncStatus status={status} />
          </Text>
        </Link>
      ))}
      <div className="fleet-connections">
        {CONNECTIONS.map((connectivity) => (
          <Link key={connectivity} to="/devices" search={{ connectivity: [connectivity] }}>
            <Text size="2">
              <Connectivity connectivity={connectivity} />{' '}
              <span className="num">{(counts.byConnectivity[connectivity] ?? 0).toLocaleString('en')}</span>
            </Text>
          </Link>
        ))}
      </div>
      <Bar counts={counts} />
    </div>
  );
}

/** The shares of the states as one bar; its text says the same. */
function Bar({ counts }: { counts: DeviceCounts }) {
  const parts = SYNC_STATUSES.map((status) => ({ status, count: counts.byStatus[status] ?? 0 })).filter(({ count }) => count > 0);
  return (
    <div className="fleet-bar" role="img" aria-label={parts.map(({ status, count }) => `${count} ${syncWord(status)}`).join(', ')}>
      {parts.map(({ status, count }) => (
        <span key={status} data-tone={toneOfSync(status)} style={{ flexGrow: count }} />
      ))}
    </div>
  );
}

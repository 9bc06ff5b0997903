import { Badge } from '@radix-ui/themes';
import { Link } from '@tanstack/react-router';
import type { DeviceStatus } from '../../generated/api.ts';
import { SiteName } from '../../ui/fleet/site-name.tsx';
import { State } from '../../ui/fleet/status.tsx';
import { Time } from '../../ui/time.tsx';
import { Facts } from '../../ui/values/facts.tsx';
import { DeviceEvents } from './events.tsx';

export function SummaryTab({ status }: { status: DeviceStatus }) {
  const { device, source, deployment, driftedPaths } = status;
  const labels = Object.entries(device.labels);
  return (
    <div className="columns">
      <section className="panel">
        <h2>Now</h2>
        <div className="panel-body">
          <Facts
            facts={[
              ['Source', source === null ? 'none' : <SourceLink key="source" source={source} path={device.path} />],
              [
                'Head',
                source?.headCommit == null ? (
                  'none yet'
                ) : (
                  <span key="head" className="mono">
                    {source.headCommit.slice(0, 10)}
                  </span>
                ),
              ],
              ['Last attempt', deployment === null ? 'none yet' : <Attempt key="attempt" deployment={deployment} deviceId={device.id} />],
              ['Error', device.error === null ? undefined : `${device.error.code}: ${device.error.detail}`],
              ['Held', device.hold === null ? undefined : `by ${device.hold.by}: ${device.hold.reason}`],
              ['Changed by hand', driftedPaths.length === 0 ? undefined : driftedPaths.join(', ')],
              ['State since', <Time key="since" at={device.syncSince} />],
              ['Last seen', <Time key="seen" at={device.lastSeenAt} />],
            ]}
          />
        </div>
      </section>
      <section className="panel">
        <h2>Device</h2>
        <div className="panel-body">
          <Facts
            facts={[
              ['Name', device.name],
              ['Type', device.type],
              ['Site', device.siteId === null ? 'none' : <SiteName key="site" id={device.siteId} />],
              ['Labels', labels.length === 0 ? 'none' : labels.map(([key, value]) => <Label key={key} name={key} value={value} />)],
              ['Agent', device.agentVersion ?? undefined],
              ['Registered', <Time key="made" at={device.createdAt} />],
            ]}
          />
        </div>
      </section>
      <DeviceEvents id={device.id} />
    </div>
  );
}

function SourceLink({ source, path }: { source: { id: string; name: string }; path: string | null }) {
  return (
    <>
      <Link className="link" to="/sources/$id" params={{ id: source.id }}>
        {source.name}
      </Link>{' '}
      {path !== null && path !== '' && path !== '.' && <span className="mono">{path}</span>}
    </>
  );
}

function Attempt({ deployment, deviceId }: { deployment: NonNullable<DeviceStatus['deployment']>; deviceId: string }) {
  return (
    <>
      <State state={deployment.state} />{' '}
      <Link className="link" to="/devices/$id" params={{ id: deviceId }} search={{ tab: 'history', at: deployment.id }}>
        <Time at={deployment.finishedAt ?? deployment.createdAt} />
      </Link>
    </>
  );
}

function Label({ name, value }: { name: string; value: string }) {
  return (
    <Badge color="gray" mr="1" asChild>
      <Link to="/devices" search={{ label: `${name}=${value}` }}>
        {name}={value}
      </Link>
    </Badge>
  );
}

import { DataList, Text } from '@radix-ui/themes';
import { Link } from '@tanstack/react-router';
import type { Integration, IntegrationProvider, IntegrationSyncStatus } from '../../../generated/api.ts';
import { Loaded } from '../../../ui/states.tsx';
import { Time } from '../../../ui/time.tsx';
import type { SyncState } from '../sync-status.ts';
import { SyncingOff } from '../syncing-off.tsx';
import { DIRECTIONS, every, STRATEGIES } from '../words.ts';
import { Credentials } from './credentials.tsx';
import { Hook } from './hook.tsx';
import { SyncProgress } from './progress.tsx';
import { Warning } from './warning.tsx';

type Props = { integration: Integration; provider: IntegrationProvider | undefined; sync: SyncState };

/** How it is, what a person must do, and how far the sync is. */
export function Summary({ integration, provider, sync }: Props) {
  return (
    <div className="stack">
      <SyncingOff />
      <Loaded result={sync.query}>
        {(status) => (
          <>
            <Warning {...{ integration, status }} />
            <div className="columns">
              <section className="panel">
                <h2>Sync</h2>
                <div className="panel-body stack">
                  <SyncProgress {...{ status }} isRequested={sync.isRunning} />
                  <Facts {...{ integration, status }} />
                </div>
              </section>
              <div className="stack">
                <Credentials {...{ integration, provider }} />
                {provider?.abilities.hook !== false && <Hook integration={integration} />}
              </div>
            </div>
            {status.failingDevices > 0 && <FailingDevices status={status} />}
          </>
        )}
      </Loaded>
    </div>
  );
}

function Facts({ integration, status }: { integration: Integration; status: IntegrationSyncStatus }) {
  const { direction, strategy, autoSync, intervalSeconds } = integration;
  return (
    <DataList.Root size="2">
      <Fact label="Last success">
        <Time at={status.lastSuccess} />
      </Fact>
      <Fact label="Next sync">
        {autoSync && status.nextSync !== null ? (
          <span>
            <Time at={status.nextSync} />, then {every(intervalSeconds)}
          </span>
        ) : (
          'when somebody asks for it'
        )}
      </Fact>
      <Fact label="Direction">{DIRECTIONS[direction]}</Fact>
      <Fact label="Both sides changed">{STRATEGIES[strategy]}</Fact>
      <Fact label="Devices">
        <Link className="link" to="/devices" search={{ integration: integration.slug }}>
          {status.devices.toLocaleString('en')}
        </Link>
      </Fact>
      <Fact label="Open conflicts">
        <Link className="link" to="/integrations/$id" params={{ id: integration.slug }} search={{ tab: 'conflicts' }}>
          {status.openConflicts.toLocaleString('en')}
        </Link>
      </Fact>
    </DataList.Root>
  );
}

function Fact({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <DataList.Item>
      <DataList.Label minWidth="120px">{label}</DataList.Label>
      <DataList.Value>{children}</DataList.Value>
    </DataList.Item>
  );
}

function FailingDevices({ status: { failingDevices, errors } }: { status: IntegrationSyncStatus }) {
  return (
    <section className="panel">
      <h2>
        {failingDevices.toLocaleString('en')} {failingDevices === 1 ? 'device' : 'devices'} could not be synced
      </h2>
      <ul className="panel-body plain">
        {errors.map(({ deviceId, detail, retryAt }) => (
          <li key={deviceId}>
            <Link className="link" to="/devices/$id" params={{ id: deviceId }}>
              {deviceId}
            </Link>{' '}
            {detail}{' '}
            {retryAt !== null && (
              <Text color="gray">
                Tried again <Time at={retryAt} />
              </Text>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

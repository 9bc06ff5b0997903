import { Button, Callout, Code, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { CirclePause, MoveRight } from 'lucide-react';
import { read, useAct } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import type { Device, Source } from '../../generated/api.ts';
import { State, SyncStatus, words } from '../../ui/fleet/status.tsx';
import { ErrorState, Loaded } from '../../ui/states.tsx';
import { duration, Time } from '../../ui/time.tsx';
import { Facts } from '../../ui/values/facts.tsx';
import { SYNC_STATUSES } from '../devices/search.ts';

/** The present state of the source, and its errors. */
export function SummaryTab({ source }: { source: Source }) {
  return (
    <>
      {source.hold !== null && <HoldNote hold={source.hold} />}
      {source.movedTo !== null && <MovedNote source={source} movedTo={source.movedTo} />}
      <div className="columns">
        <CheckPanel source={source} />
        <HeadPanel source={source} />
        <DevicesPanel sourceId={source.id} />
      </div>
    </>
  );
}

function HoldNote({ hold: { by, at, reason } }: { hold: NonNullable<Source['hold']> }) {
  return (
    <Callout.Root color="amber">
      <Callout.Icon>
        <CirclePause size={16} />
      </Callout.Icon>
      <Callout.Text>
        Held by {by} <Time at={at} />: {reason}. No device of this source changes until it is released.
      </Callout.Text>
    </Callout.Root>
  );
}

function MovedNote({ source, movedTo }: { source: Source; movedTo: string }) {
  const mayOperate = useMay('operator');
  const move = useAct('PATCH /api/v1/sources/{id}');
  return (
    <Callout.Root color="amber">
      <Callout.Icon>
        <MoveRight size={16} />
      </Callout.Icon>
      <Callout.Text>The host redirects this repository to {movedTo}.</Callout.Text>
      {mayOperate && (
        <Button
          variant="soft"
          color="amber"
          size="1"
          loading={move.isPending}
          onClick={() => move.mutate({ path: { id: source.id }, body: { url: movedTo } })}
        >
          Use the new address
        </Button>
      )}
      {move.error !== null && <ErrorState error={move.error} />}
    </Callout.Root>
  );
}

function CheckPanel({ source }: { source: Source }) {
  const { lastError, failures, status } = source;
  return (
    <section className="panel" aria-label="Checks">
      <h2>Checks of the repository</h2>
      <div className="panel-body">
        <Facts
          facts={[
            ['State', <State key="state" state={status} />],
            [
              'Error',
              lastError !== null && (
                <Text key="error" color="red" role="status">
                  {lastError.detail}
                </Text>
              ),
            ],
            ['Failed in a row', failures > 0 && `${failures} ${failures === 1 ? 'check' : 'checks'}`],
            [failures > 0 ? 'Next try' : 'Next check', <Time key="next" at={source.nextCheckAt} />],
            ['Last checked', <Time key="checked" at={source.lastCheckedAt} />],
            ['Last synced', <Time key="synced" at={source.lastSyncedAt} />],
            ['Polled every', duration(source.pollIntervalSeconds * 1_000)],
            ['Layout', source.layout],
            ['Credentials', source.auth ?? 'none'],
          ]}
        />
      </div>
    </section>
  );
}

function HeadPanel({ source }: { source: Source }) {
  const newest = useQuery(read('GET /api/v1/sources/{id}/revisions', { path: { id: source.id }, query: { limit: 1 } }));
  return (
    <section className="panel" aria-label="Head commit">
      <h2>Head commit</h2>
      <div className="panel-body">
        <Loaded result={newest}>
          {({ items: [head] }) =>
            head === undefined ? (
              <Text size="2" color="gray">
                No commit yet. {source.lastError === null ? 'The first check is under way.' : 'The error beside says why.'}
              </Text>
            ) : (
              <Facts
                facts={[
                  ['Commit', <RevisionLink key="commit" sourceId={source.id} revision={head} />],
                  ['Message', head.message.split('\n')[0]],
                  ['Author', head.author.name],
                  ['Committed', <Time key="at" at={head.committedAt} />],
                  ['Verdict', <State key="verdict" state={head.verdict} />],
                  ['Errors', head.errors.length > 0 && <Text color="red">{head.errors[0]?.message}</Text>],
                  ['Signature', words(head.signature)],
                  ['Rollout', <NewestRollout key="rollout" sourceId={source.id} />],
                ]}
              />
            )
          }
        </Loaded>
      </div>
    </section>
  );
}

function RevisionLink({ sourceId, revision: { id, commit } }: { sourceId: string; revision: { id: string; commit: string } }) {
  return (
    <Link to="/sources/$id" params={{ id: sourceId }} search={{ tab: 'revisions', revision: id }} className="link">
      <Code>{commit.slice(0, 10)}</Code>
    </Link>
  );
}

function NewestRollout({ sourceId }: { sourceId: string }) {
  const { data } = useQuery(read('GET /api/v1/rollouts', { query: { sourceId, limit: 1 } }));
  const newest = data?.items[0];
  if (newest === undefined) return data === undefined ? '…' : 'none yet';
  return (
    <Link to="/rollouts/$id" params={{ id: newest.id }} className="link">
      <State state={newest.state} />
    </Link>
  );
}

function DevicesPanel({ sourceId }: { sourceId: string }) {
  const counts = useQuery(read('GET /api/v1/devices/counts', { query: { source: [sourceId] } }));
  return (
    <section className="panel" aria-label="Devices">
      <h2>Devices</h2>
      <div className="panel-body">
        <Loaded result={counts}>
          {({ total, byStatus }) => (
            <Facts
              facts={[
                [
                  'All',
                  <Link key="all" to="/devices" search={{ source: sourceId }} className="link">
                    {total.toLocaleString('en')}
                  </Link>,
                ],
                ...statusesIn(byStatus).map(
                  ([status, count]) =>
                    [
                      <SyncStatus key={status} status={status} />,
                      <Link key={status} to="/devices" search={{ source: sourceId, status: [status] }} className="link">
                        {count.toLocaleString('en')}
                      </Link>,
                    ] as const,
                ),
              ]}
            />
          )}
        </Loaded>
      </div>
    </section>
  );
}

function statusesIn(byStatus: Record<string, number>): [Device['syncStatus'], number][] {
  return SYNC_STATUSES.flatMap((status) => {
    const count = byStatus[status] ?? 0;
    return count === 0 ? [] : [[status, count]];
  });
}

import { Button, Callout, Flex, Text } from '@radix-ui/themes';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { CircleCheck, TriangleAlert } from 'lucide-react';
import { useMemo } from 'react';
import { read, readPages, useAct } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Notification, NotificationDelivery, NotificationTest } from '../../../generated/api.ts';
import { Confirm } from '../../../ui/confirm.tsx';
import { State } from '../../../ui/fleet/status.tsx';
import { EmptyState, ErrorState, Loaded } from '../../../ui/states.tsx';
import type { Column } from '../../../ui/table/data-table.tsx';
import { duration, Time } from '../../../ui/time.tsx';
import { CopyText } from '../../../ui/values/copy.tsx';
import { Facts } from '../../../ui/values/facts.tsx';
import { ListTable } from '../list-table.tsx';

/** One notification: its state in words, its acts, and what it delivered. */
export function NotificationPanel({ id }: { id: string }) {
  const result = useQuery(read('GET /api/v1/notifications/{id}', { path: { id } }));
  const mayOperate = useMay('operator');
  return (
    <Loaded result={result}>
      {(notification) => (
        <section className="panel" aria-label={`Notification ${notification.name}`}>
          <h2>
            {notification.name} <State state={notification.status} />
          </h2>
          <div className="panel-body stack">
            <StateFacts notification={notification} />
            {mayOperate && <Acts notification={notification} />}
            <Deliveries id={id} mayOperate={mayOperate} />
          </div>
        </section>
      )}
    </Loaded>
  );
}

function StateFacts({ notification }: { notification: Notification }) {
  const { lastError, failures, nextTryAt, disabledReason, dropped, previousSecretUntil } = notification;
  return (
    <Facts
      facts={[
        ['Error', lastError !== null && <Text color="red">{lastError}</Text>],
        ['Failed in a row', failures > 0 && failures.toLocaleString('en')],
        ['Next try', nextTryAt !== null && <Time at={nextTryAt} />],
        ['Switched off', disabledReason !== null && disabledReason],
        ['Never tried', dropped > 0 && `${dropped.toLocaleString('en')} events that were too old or too many`],
        ['Last delivered', <Time key="last" at={notification.lastDeliveredAt} />],
        ['Signing secret', `…${notification.secretLast4}`],
        ['Old secret until', previousSecretUntil !== null && <Time at={previousSecretUntil} exact />],
      ]}
    />
  );
}

function Acts({ notification: { id, name, enabled } }: { notification: Notification }) {
  const navigate = useNavigate({ from: '/settings' });
  const path = { id };
  const test = useAct('POST /api/v1/notifications/{id}/test');
  const change = useAct('PATCH /api/v1/notifications/{id}');
  const renew = useAct('POST /api/v1/notifications/{id}/secret');
  const remove = useAct('DELETE /api/v1/notifications/{id}', { onSuccess: () => void navigate({ search: { tab: 'notifications' } }) });
  const error = test.error ?? change.error ?? renew.error;
  return (
    <>
      <Flex gap="3" wrap="wrap">
        <Button variant="soft" loading={test.isPending} onClick={() => test.mutate({ path })}>
          Send a test
        </Button>
        <Button variant="soft" color="gray" loading={change.isPending} onClick={() => change.mutate({ path, body: { enabled: !enabled } })}>
          {enabled ? 'Switch off' : 'Switch on'}
        </Button>
        <Confirm
          trigger={
            <Button variant="soft" color="gray">
              Replace the secret
            </Button>
          }
          title={`Replace the signing secret of ${name}?`}
          act="Replace secret"
          onConfirm={() => renew.mutateAsync({ path })}
        >
          <Text size="2">The old secret also signs for a day, so that the receiver can change it without a loss.</Text>
        </Confirm>
        <Confirm
          trigger={
            <Button variant="soft" color="red">
              Delete
            </Button>
          }
          title={`Delete ${name}?`}
          act="Delete notification"
          danger
          onConfirm={() => remove.mutateAsync({ path })}
        >
          <Text size="2">Nothing is posted to its address any more.</Text>
        </Confirm>
      </Flex>
      {test.data !== undefined && <TestAnswer answer={test.data} />}
      {renew.data !== undefined && <CopyText text={renew.data.secret} label="the new signing secret" />}
      {error !== null && <ErrorState error={error} />}
    </>
  );
}

function TestAnswer({ answer: { ok, status, error, response, durationMs } }: { answer: NotificationTest }) {
  return (
    <Callout.Root color={ok ? 'green' : 'red'} role="status">
      <Callout.Icon>{ok ? <CircleCheck size={16} /> : <TriangleAlert size={16} />}</Callout.Icon>
      <Callout.Text>
        {ok ? 'The receiver took the test' : 'The receiver did not take the test'}
        {status !== null && `: it answered ${status}`} in {duration(durationMs)}. {error} {response}
      </Callout.Text>
    </Callout.Root>
  );
}

/** A delivery is no event: while somebody looks, the page asks for it. */
const LOOK_EVERY_MS = 3_000;

function Deliveries({ id, mayOperate }: { id: string; mayOperate: boolean }) {
  const deliveries = readPages('GET /api/v1/notifications/{id}/deliveries', { path: { id } });
  const list = useInfiniteQuery({ ...deliveries, refetchInterval: LOOK_EVERY_MS });
  const columns = useMemo(() => (mayOperate ? [...COLUMNS, actOf(id)] : COLUMNS), [mayOperate, id]);
  return (
    <ListTable
      label="Deliveries"
      list={list}
      columns={columns}
      keyOf={(delivery) => delivery.id}
      height="360px"
      empty={
        <EmptyState title="Nothing was delivered yet" hint="The next event that matches stands here. Send a test to try the address." />
      }
    />
  );
}

const COLUMNS: readonly Column<NotificationDelivery>[] = [
  { id: 'state', title: 'State', width: '112px', cell: ({ state }) => <State state={state} /> },
  { id: 'event', title: 'Event', width: 'minmax(140px, 1fr)', cell: ({ eventType }) => <span className="mono">{eventType}</span> },
  { id: 'subject', title: 'Subject', width: 'minmax(120px, 1fr)', cell: ({ subject }) => <span title={subject}>{subject}</span> },
  { id: 'attempts', title: 'Attempts', width: '72px', numeric: true, cell: ({ attempts }) => attempts.toLocaleString('en') },
  { id: 'answer', title: 'Last answer', width: 'minmax(140px, 2fr)', cell: (delivery) => <LastTry delivery={delivery} /> },
  { id: 'at', title: 'Created', width: '96px', cell: ({ createdAt }) => <Time at={createdAt} /> },
  { id: 'next', title: 'Next try', width: '96px', cell: ({ nextTryAt }) => nextTryAt !== null && <Time at={nextTryAt} /> },
];

function LastTry({ delivery: { tries } }: { delivery: NotificationDelivery }) {
  const last = tries.at(-1);
  if (last === undefined) return null;
  const text = [last.status, last.error ?? last.response].filter((part) => part !== null && part !== '').join(' ');
  return <span title={text}>{text}</span>;
}

function actOf(notificationId: string): Column<NotificationDelivery> {
  return {
    id: 'act',
    title: '',
    width: '88px',
    cell: ({ id, state }) => state !== 'pending' && <Redeliver notificationId={notificationId} deliveryId={id} />,
  };
}

function Redeliver({ notificationId, deliveryId }: { notificationId: string; deliveryId: string }) {
  const act = useAct('POST /api/v1/notifications/{id}/deliveries/{deliveryId}/redeliver');
  return (
    <Button
      size="1"
      variant="ghost"
      loading={act.isPending}
      color={act.error === null ? 'indigo' : 'red'}
      title={act.error?.message}
      onClick={() => act.mutate({ path: { id: notificationId, deliveryId } })}
    >
      {act.error !== null ? 'Failed' : act.isSuccess ? 'Queued' : 'Redeliver'}
    </Button>
  );
}

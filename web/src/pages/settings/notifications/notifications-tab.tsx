import { Flex, Text } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { readPages } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Notification } from '../../../generated/api.ts';
import { State } from '../../../ui/fleet/status.tsx';
import { EmptyState } from '../../../ui/states.tsx';
import type { Column } from '../../../ui/table/data-table.tsx';
import { Time } from '../../../ui/time.tsx';
import { ListTable } from '../list-table.tsx';
import { NewDialog } from '../new-dialog.tsx';
import { NewNotification } from './new-notification.tsx';
import { NotificationPanel } from './notification-panel.tsx';

/** Where the service posts events to. */
export function NotificationsTab() {
  const { at } = useSearch({ from: '/signed-in/settings' });
  const navigate = useNavigate({ from: '/settings' });
  const mayOperate = useMay('operator');
  const list = useInfiniteQuery(readPages('GET /api/v1/notifications', {}));
  return (
    <>
      <Flex justify="between" align="center" gap="4" wrap="wrap">
        <Text size="2" color="gray">
          The service posts chosen events to these addresses, signed, and tries again for hours where nobody answers.
        </Text>
        {mayOperate && (
          <NewDialog label="Create notification" title="Create a notification">
            {() => <NewNotification />}
          </NewDialog>
        )}
      </Flex>
      <ListTable
        label="Notifications"
        list={list}
        columns={COLUMNS}
        keyOf={({ id }) => id}
        onOpen={({ id }) => void navigate({ search: { tab: 'notifications', at: id } })}
        height="320px"
        empty={<EmptyState title="No notifications yet" hint="Create one to hear of failures in a chat, or in your own program." />}
      />
      {at !== undefined && <NotificationPanel id={at} />}
    </>
  );
}

const COLUMNS: readonly Column<Notification>[] = [
  { id: 'name', title: 'Name', width: 'minmax(120px, 1fr)', cell: ({ name }) => name },
  { id: 'status', title: 'State', width: '104px', cell: ({ status }) => <State state={status} /> },
  { id: 'format', title: 'Format', width: '96px', cell: ({ format }) => FORMATS[format] },
  { id: 'url', title: 'Address', width: 'minmax(140px, 2fr)', cell: ({ url }) => <span title={url}>{url}</span> },
  {
    id: 'events',
    title: 'Events',
    width: 'minmax(120px, 2fr)',
    cell: ({ events }) => <span title={events.join(', ')}>{events.join(', ')}</span>,
  },
  { id: 'severity', title: 'From', width: '72px', cell: ({ minimumSeverity }) => minimumSeverity },
  { id: 'last', title: 'Last delivered', width: '104px', cell: ({ lastDeliveredAt }) => <Time at={lastDeliveredAt} /> },
  { id: 'error', title: 'Error', width: 'minmax(100px, 2fr)', cell: ({ lastError }) => lastError && <Text color="red">{lastError}</Text> },
];

const FORMATS: Record<Notification['format'], string> = { cloudevents: 'CloudEvents', json: 'JSON', slack: 'Chat' };

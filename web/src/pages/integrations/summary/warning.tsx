import { Callout } from '@radix-ui/themes';
import { Link } from '@tanstack/react-router';
import { CircleSlash, OctagonX, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { useMay } from '../../../app/session.ts';
import type { Integration, IntegrationSyncStatus } from '../../../generated/api.ts';
import { relative, Time, useNow } from '../../../ui/time.tsx';

type Props = { integration: Integration; status: IntegrationSyncStatus };

/** The state in words, where it is not fine: what happened, what it means, what to do. */
export function Warning({ integration, status }: Props) {
  switch (status.state) {
    case 'blocked':
      return <Blocked {...{ integration, status }} />;
    case 'stale':
      return <Stale status={status} />;
    case 'failing':
      return (
        <Said icon={<TriangleAlert size={16} />} color="amber">
          The last sync failed: {status.error?.detail ?? 'its reason is not known'}. {failuresOf(status)} It is tried again{' '}
          <Time at={status.nextSync} />.
        </Said>
      );
    case 'disabled':
      return (
        <Said icon={<CircleSlash size={16} />} color="gray">
          This integration is switched off: nothing is asked of the platform, and its devices are shown as they were at the last sync.
        </Said>
      );
    case 'new':
    case 'ok':
      return null;
  }
}

function Blocked({ integration, status }: Props) {
  const mayRenew = useMay('admin');
  return (
    <Said icon={<OctagonX size={16} />} color="red">
      Blocked: {status.blockedReason ?? status.error?.detail}. Nothing is asked of the platform until it gets new credentials.{' '}
      {mayRenew ? (
        <Link className="link" to="/integrations/$id" params={{ id: integration.slug }} hash="credentials">
          Enter new credentials
        </Link>
      ) : (
        'Ask an administrator to enter them.'
      )}
    </Said>
  );
}

function Stale({ status }: { status: IntegrationSyncStatus }) {
  const now = useNow();
  const since = status.lastSuccess ?? status.staleSince;
  return (
    <Said icon={<TriangleAlert size={16} />} color="amber">
      Stale: {status.lastSuccess === null ? 'no sync has succeeded yet' : 'the last sync that succeeded was'}
      {since === null ? '' : ` ${relative(new Date(since), now)}`}. Its devices are shown as they were then.{' '}
      {status.error === null ? 'Sync it now, or let it sync by itself.' : `The last attempt failed: ${status.error.detail}.`}{' '}
      {failuresOf(status)}
    </Said>
  );
}

function failuresOf({ failures }: IntegrationSyncStatus): string {
  return failures > 1 ? `${failures.toLocaleString('en')} syncs in a row failed.` : '';
}

function Said({ icon, color, children }: { icon: ReactNode; color: 'amber' | 'red' | 'gray'; children: ReactNode }) {
  return (
    <Callout.Root color={color}>
      <Callout.Icon>{icon}</Callout.Icon>
      <Callout.Text>{children}</Callout.Text>
    </Callout.Root>
  );
}

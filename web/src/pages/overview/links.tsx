import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { AttentionItem } from '../../generated/api.ts';

/** Leads to the page that shows why, and where the act is. */
export function SubjectLink({ item: { kind, links }, children }: { item: Pick<AttentionItem, 'kind' | 'links'>; children: ReactNode }) {
  const { rolloutId, sourceId, revisionId, integration, deviceId, notificationId } = links;
  if (kind === 'revision_rejected' && sourceId !== undefined)
    return (
      <Link
        className="link"
        to="/sources/$id"
        params={{ id: sourceId }}
        search={{ tab: 'revisions', ...(revisionId === undefined ? {} : { revision: revisionId }) }}
      >
        {children}
      </Link>
    );
  if (rolloutId !== undefined)
    return (
      <Link className="link" to="/rollouts/$id" params={{ id: rolloutId }} search={kind === 'rollout_failures' ? { tab: 'causes' } : {}}>
        {children}
      </Link>
    );
  if (deviceId !== undefined)
    return (
      <Link className="link" to="/devices/$id" params={{ id: deviceId }}>
        {children}
      </Link>
    );
  if (integration !== undefined)
    return (
      <Link className="link" to="/integrations/$id" params={{ id: integration }} search={kind === 'conflicts' ? { tab: 'conflicts' } : {}}>
        {children}
      </Link>
    );
  if (sourceId !== undefined)
    return (
      <Link className="link" to="/sources/$id" params={{ id: sourceId }}>
        {children}
      </Link>
    );
  if (notificationId !== undefined)
    return (
      <Link className="link" to="/settings" search={{ tab: 'notifications', at: notificationId }}>
        {children}
      </Link>
    );
  if (kind === 'device_failures')
    return (
      <Link className="link" to="/devices" search={{ status: ['failed', 'rolled_back'] }}>
        {children}
      </Link>
    );
  return kind === 'device_held' ? (
    <Link className="link" to="/devices" search={{ held: true }}>
      {children}
    </Link>
  ) : (
    children
  );
}

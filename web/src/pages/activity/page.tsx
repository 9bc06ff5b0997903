import { TabNav } from '@radix-ui/themes';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useMay } from '../../app/session.ts';
import { PageHead } from '../../ui/page-head.tsx';
import { AuditLog } from './audit.tsx';
import { EventLog } from './events.tsx';

const route = getRouteApi('/signed-in/activity');

/** The event log, and the audit log. */
export function ActivityPage() {
  const { tab = 'events' } = route.useSearch();
  // The audit log is for administrators alone.
  const mayAudit = useMay('admin');
  return (
    <>
      <PageHead title="Activity" />
      <div className="stack">
        {mayAudit && (
          <TabNav.Root aria-label="Views of the activity">
            <TabNav.Link asChild active={tab === 'events'}>
              <Link to="/activity" search={{}}>
                Events
              </Link>
            </TabNav.Link>
            <TabNav.Link asChild active={tab === 'audit'}>
              <Link to="/activity" search={{ tab: 'audit' }}>
                Audit log
              </Link>
            </TabNav.Link>
          </TabNav.Root>
        )}
        {tab === 'audit' && mayAudit ? <AuditLog /> : <EventLog />}
      </div>
    </>
  );
}

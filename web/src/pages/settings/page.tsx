import { TabNav } from '@radix-ui/themes';
import { Link, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { type Role, useMay } from '../../app/session.ts';
import { PageHead } from '../../ui/page-head.tsx';
import { EmptyState } from '../../ui/states.tsx';
import { AppearanceTab } from './appearance-tab.tsx';
import { EnrolmentTab } from './enrolment-tab.tsx';
import { IntegrationsTab } from './integrations-tab.tsx';
import { NotificationsTab } from './notifications/notifications-tab.tsx';
import { SETTINGS_TABS } from './search.ts';
import { SitesTab } from './sites-tab.tsx';
import { TokensTab } from './tokens-tab.tsx';

type Tab = (typeof SETTINGS_TABS)[number];
const TABS: Record<Tab, { title: string; needs: Role; content: () => ReactNode }> = {
  appearance: { title: 'Appearance', needs: 'viewer', content: AppearanceTab },
  sites: { title: 'Sites', needs: 'viewer', content: SitesTab },
  tokens: { title: 'API tokens', needs: 'admin', content: TokensTab },
  enrolment: { title: 'Enrolment', needs: 'operator', content: EnrolmentTab },
  notifications: { title: 'Notifications', needs: 'viewer', content: NotificationsTab },
  integrations: { title: 'Integrations', needs: 'viewer', content: IntegrationsTab },
};

/** How the page looks, and what belongs to the whole organization. Tabs that a role may not read are not there. */
export function SettingsPage() {
  const { tab = 'appearance' } = useSearch({ from: '/signed-in/settings' });
  const may: Record<Role, boolean> = { viewer: useMay('viewer'), operator: useMay('operator'), admin: useMay('admin') };
  const { content: Content, needs, title } = TABS[tab];
  return (
    <>
      <PageHead title="Settings" />
      <div className="stack">
        <TabNav.Root aria-label="Parts of the settings" className="tabs">
          {SETTINGS_TABS.filter((each) => may[TABS[each].needs]).map((each) => (
            <TabNav.Link key={each} asChild active={each === tab}>
              <Link to="/settings" search={each === 'appearance' ? {} : { tab: each }}>
                {TABS[each].title}
              </Link>
            </TabNav.Link>
          ))}
        </TabNav.Root>
        {may[needs] ? (
          <Content />
        ) : (
          <EmptyState title={`${title} are not for your role`} hint={`They take the role “${needs}”. Ask an admin for a token with it.`} />
        )}
      </div>
    </>
  );
}

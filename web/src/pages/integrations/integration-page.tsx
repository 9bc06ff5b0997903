import { Badge, TabNav } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { read } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import type { Integration, IntegrationProvider } from '../../generated/api.ts';
import { PageHead } from '../../ui/page-head.tsx';
import { Loaded } from '../../ui/states.tsx';
import { State, words } from '../../ui/status.tsx';
import { Conflicts } from './conflicts/conflicts.tsx';
import { Devices } from './devices.tsx';
import { History } from './history.tsx';
import { INTEGRATION_TABS } from './search.ts';
import { IntegrationSettings } from './settings.tsx';
import { IntegrationActs } from './summary/acts.tsx';
import { Summary } from './summary/summary.tsx';
import { useSyncStatus } from './sync-status.ts';

const route = getRouteApi('/signed-in/integrations/$id');

/** One account on a platform: how its syncs go, what waits for a person, and its settings. */
export function IntegrationPage() {
  const { id } = route.useParams();
  const integration = useQuery(read('GET /api/v1/integrations/{id}', { path: { id } }));
  const providers = useQuery(read('GET /api/v1/integrations/providers', {}));
  return (
    <Loaded result={integration}>
      {(found) => (
        <Loaded result={providers}>
          {({ items }) => <Opened key={found.id} integration={found} provider={items.find(({ kind }) => kind === found.type)} />}
        </Loaded>
      )}
    </Loaded>
  );
}

type Props = { integration: Integration; provider: IntegrationProvider | undefined };

function Opened({ integration, provider }: Props) {
  const { tab = 'summary' } = route.useSearch();
  const sync = useSyncStatus(integration.slug);
  return (
    <>
      <PageHead
        title={integration.name}
        beside={
          <>
            <State state={sync.query.data?.state ?? integration.state} />
            <Badge color="gray">{provider?.title ?? integration.type}</Badge>
            {integration.primary && <Badge color="indigo">Primary</Badge>}
          </>
        }
        acts={<IntegrationActs integration={integration} sync={sync} />}
      />
      <div className="stack">
        <Tabs slug={integration.slug} shown={tab} conflicts={sync.query.data?.openConflicts ?? 0} />
        {tab === 'summary' && <Summary {...{ integration, provider, sync }} />}
        {tab === 'conflicts' && <Conflicts integration={integration} />}
        {tab === 'history' && <History slug={integration.slug} />}
        {tab === 'devices' && <Devices {...{ integration, provider }} />}
        {tab === 'settings' && provider !== undefined && <IntegrationSettings {...{ integration, provider }} />}
      </div>
    </>
  );
}

function Tabs({ slug, shown, conflicts }: { slug: string; shown: string; conflicts: number }) {
  const mayChange = useMay('admin');
  return (
    <TabNav.Root aria-label="Views of the integration">
      {INTEGRATION_TABS.filter((tab) => mayChange || tab !== 'settings').map((tab) => (
        <TabNav.Link key={tab} asChild active={tab === shown}>
          <Link to="/integrations/$id" params={{ id: slug }} search={tab === 'summary' ? {} : { tab }}>
            {words(tab)}
            {tab === 'conflicts' && conflicts > 0 && (
              <Badge color="amber" ml="1">
                {conflicts.toLocaleString('en')}
              </Badge>
            )}
          </Link>
        </TabNav.Link>
      ))}
    </TabNav.Root>
  );
}

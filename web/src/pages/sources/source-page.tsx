import { TabNav, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link, useParams, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { read } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import type { Source } from '../../generated/api.ts';
import { State, words } from '../../ui/fleet/status.tsx';
import { PageHead } from '../../ui/page-head.tsx';
import { Loaded } from '../../ui/states.tsx';
import { SourceActs } from './acts.tsx';
import { SettingsTab } from './connection/settings-tab.tsx';
import { PlansTab } from './plans/plans-tab.tsx';
import { RevisionsTab } from './revisions/revisions-tab.tsx';
import { SOURCE_TABS } from './search.ts';
import { SummaryTab } from './summary-tab.tsx';
import { WebhookTab } from './webhook/webhook-tab.tsx';

type Tab = (typeof SOURCE_TABS)[number];
const TAB_PAGES: Record<Tab, (props: { source: Source }) => ReactNode> = {
  summary: SummaryTab,
  revisions: RevisionsTab,
  webhook: WebhookTab,
  'merge-requests': PlansTab,
  settings: SettingsTab,
};

/** One source: what it does now, its commits, its webhook, its merge requests and its settings. */
export function SourcePage() {
  const { id } = useParams({ from: '/signed-in/sources/$id' });
  const result = useQuery(read('GET /api/v1/sources/{id}', { path: { id } }));
  if (result.data === undefined)
    return (
      <>
        <PageHead title="Source" />
        <Loaded result={result}>{() => null}</Loaded>
      </>
    );
  return <SourceView source={result.data} />;
}

function SourceView({ source }: { source: Source }) {
  const { tab = 'summary' } = useSearch({ from: '/signed-in/sources/$id' });
  const mayOperate = useMay('operator');
  const Shown = TAB_PAGES[tab];
  return (
    <>
      <PageHead
        title={source.name}
        beside={
          <>
            <State state={source.hold === null ? source.status : 'held'} />
            <Text size="2" color="gray" className="clip" title={source.url}>
              {source.url} @ {source.ref}
            </Text>
          </>
        }
        acts={mayOperate && <SourceActs source={source} />}
      />
      <div className="stack">
        <TabNav.Root aria-label="Parts of the source" className="tabs">
          {SOURCE_TABS.map((each) => (
            <TabNav.Link key={each} asChild active={each === tab}>
              <Link to="/sources/$id" params={{ id: source.id }} search={each === 'summary' ? {} : { tab: each }}>
                {words(each.replace('-', '_'))}
              </Link>
            </TabNav.Link>
          ))}
        </TabNav.Root>
        <Shown source={source} />
      </div>
    </>
  );
}

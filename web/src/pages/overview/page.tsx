import { PageHead } from '../../ui/page-head.tsx';
import { AttentionPanel } from './attention-panel.tsx';
import { EventsPanel } from './events-panel.tsx';
import { FleetPanel } from './fleet-panel.tsx';
import { RolloutsPanel } from './rollouts-panel.tsx';

/** First what needs a person, then the fleet, what runs now, and what happens. */
export function OverviewPage() {
  return (
    <>
      <PageHead title="Overview" />
      <div className="stack">
        <FleetPanel />
        <AttentionPanel />
        <div className="columns overview-columns">
          <RolloutsPanel />
          <EventsPanel />
        </div>
      </div>
    </>
  );
}

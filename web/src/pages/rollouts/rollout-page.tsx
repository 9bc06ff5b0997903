import { Box, Callout, Flex, TabNav, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link, useParams, useSearch } from '@tanstack/react-router';
import { Hourglass, OctagonX } from 'lucide-react';
import { read } from '../../api/query.ts';
import type { RolloutDetail } from '../../generated/api.ts';
import { useLive } from '../../live/live.tsx';
import { State } from '../../ui/fleet/status.tsx';
import { PageHead } from '../../ui/page-head.tsx';
import { Loaded } from '../../ui/states.tsx';
import { Time } from '../../ui/time.tsx';
import { RolloutActs } from './acts.tsx';
import { Causes } from './causes.tsx';
import { RolloutDevices } from './devices.tsx';
import { RolloutDiff } from './diff.tsx';
import { RolloutEvents } from './events.tsx';
import { Graph } from './graph.tsx';
import { Lanes } from './lanes.tsx';
import { SourceName, useRevision } from './names.tsx';

const TABS = [
  ['waves', 'Waves'],
  ['devices', 'Devices'],
  ['causes', 'Causes of failures'],
  ['diff', 'Changes'],
  ['events', 'Events'],
] as const;

/** One rollout from its commit to its devices. */
export function RolloutPage() {
  const { id } = useParams({ from: '/signed-in/rollouts/$id' });
  const rollout = useQuery(read('GET /api/v1/rollouts/{id}', { path: { id } }));
  useLive([`rollout:${id}`], () => undefined);
  return <Loaded result={rollout}>{(data) => <Rollout rollout={data} />}</Loaded>;
}

function Rollout({ rollout }: { rollout: RolloutDetail }) {
  const { tab = 'waves' } = useSearch({ from: '/signed-in/rollouts/$id' });
  const revision = useRevision(rollout.revisionId);
  return (
    <>
      <PageHead
        title={revision === undefined ? 'Rollout' : `Rollout of ${revision.commit.slice(0, 8)}`}
        beside={<State state={rollout.state} />}
        acts={<RolloutActs rollout={rollout} />}
      />
      <Flex gap="3" wrap="wrap" mb="3">
        <Text size="2" color="gray">
          <SourceName id={rollout.sourceId} /> · {revision?.message.split('\n')[0]} · {revision?.author.name} · started{' '}
          <Time at={rollout.startedAt ?? rollout.createdAt} />
          {rollout.finishedAt !== null && (
            <>
              , ended <Time at={rollout.finishedAt} />
            </>
          )}
        </Text>
      </Flex>
      <Reason rollout={rollout} />
      <Graph id={rollout.id} />
      <TabNav.Root my="3">
        {TABS.map(([name, title]) => (
          <TabNav.Link key={name} asChild active={tab === name}>
            <Link to="/rollouts/$id" params={{ id: rollout.id }} search={{ tab: name }}>
              {title}
              {name === 'causes' && rollout.counts.failed > 0 ? ` (${rollout.counts.failed})` : ''}
            </Link>
          </TabNav.Link>
        ))}
      </TabNav.Root>
      <Box pt="2">
        {tab === 'waves' && <Lanes rollout={rollout} />}
        {tab === 'devices' && <RolloutDevices id={rollout.id} />}
        {tab === 'causes' && <Causes id={rollout.id} sourceId={rollout.sourceId} />}
        {tab === 'diff' && <RolloutDiff id={rollout.id} />}
        {tab === 'events' && <RolloutEvents id={rollout.id} />}
      </Box>
    </>
  );
}

/** Why it waits, or why it was aborted. */
function Reason({ rollout: { waiting, end } }: { rollout: RolloutDetail }) {
  if (waiting === null && end === null) return null;
  const isEnd = end !== null;
  return (
    <Callout.Root color={isEnd ? 'red' : 'amber'} mb="3" size="1">
      <Callout.Icon>{isEnd ? <OctagonX size={16} /> : <Hourglass size={16} />}</Callout.Icon>
      <Callout.Text>
        {end?.detail ?? waiting?.detail}
        {waiting?.until != null && end === null && (
          <>
            {' '}
            until <Time at={waiting.until} exact />
          </>
        )}
      </Callout.Text>
    </Callout.Root>
  );
}

import { Progress, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { read } from '../../api/query.ts';
import type { Rollout } from '../../generated/api.ts';
import { State } from '../../ui/fleet/status.tsx';
import { Loaded } from '../../ui/states.tsx';
import { Time } from '../../ui/time.tsx';

const UNDER_WAY: readonly string[] = ['planned', 'awaiting_approval', 'running', 'paused', 'reverting'];

/** Rollouts under way, and the newest that ended. */
export function RolloutsPanel() {
  const rollouts = useQuery(read('GET /api/v1/rollouts', { query: { limit: 20 } }));
  return (
    <section className="panel" aria-label="Rollouts">
      <h2>Rollouts</h2>
      <Loaded result={rollouts}>
        {({ items }) => {
          const running = items.filter(({ state }) => UNDER_WAY.includes(state));
          const shown = [...running, ...items.filter((each) => !running.includes(each))].slice(0, Math.max(6, running.length));
          return shown.length === 0 ? (
            <Text as="p" size="2" color="gray" className="panel-body">
              No rollout yet. The first push to a source starts one.
            </Text>
          ) : (
            <ul className="lines">
              {shown.map((rollout) => (
                <Line key={rollout.id} rollout={rollout} />
              ))}
            </ul>
          );
        }}
      </Loaded>
    </section>
  );
}

function Line({ rollout }: { rollout: Rollout }) {
  const { data: detail } = useQuery(read('GET /api/v1/rollouts/{id}', { path: { id: rollout.id } }));
  const { data: revision } = useQuery({
    ...read('GET /api/v1/revisions/{id}', { path: { id: rollout.revisionId } }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const { data: source } = useQuery(read('GET /api/v1/sources/{id}', { path: { id: rollout.sourceId } }));
  const counts = detail?.counts;
  const total = counts === undefined ? 0 : counts.open + counts.succeeded + counts.failed + counts.offline;
  const done = counts === undefined ? 0 : counts.succeeded + counts.failed;
  return (
    <li>
      <Link to="/rollouts/$id" params={{ id: rollout.id }} className="rollout-line">
        <Text size="2" weight="medium" className="clip">
          {source?.name ?? '…'} <span className="mono">{revision?.commit.slice(0, 8)}</span>{' '}
          <Text color="gray">{revision?.message?.split('\n')[0]}</Text>
        </Text>
        <Text size="2">
          <State state={rollout.state} />
        </Text>
        <Progress
          value={total === 0 ? 0 : (100 * done) / total}
          size="1"
          color={counts !== undefined && counts.failed > 0 ? 'red' : 'indigo'}
          aria-label="Devices done"
        />
        <Text size="1" color="gray" className="num">
          {counts === undefined ? '' : `${counts.succeeded} of ${total}${counts.failed > 0 ? `, ${counts.failed} failed` : ''}`} ·{' '}
          <Time at={rollout.finishedAt ?? rollout.startedAt ?? rollout.createdAt} />
        </Text>
      </Link>
    </li>
  );
}

import { SegmentedControl } from '@radix-ui/themes';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { read } from '../../api/query.ts';
import { Chart, type Marker } from '../../ui/chart.tsx';
import { EmptyState, Loaded } from '../../ui/states.tsx';
import { useNow } from '../../ui/time.tsx';

const RANGES = { '1h': 3_600, '6h': 21_600, '24h': 86_400, '7d': 604_800, '30d': 2_592_000 } as const;
type Range = keyof typeof RANGES;
const NAMES = Object.keys(RANGES) as Range[];
const POINTS = 300;
const MAX_CHARTS = 12;

/** One chart for each metric, with a line where a commit landed. */
export function TelemetryTab({ id }: { id: string }) {
  const { range = '1h' } = useSearch({ from: '/signed-in/devices/$id' });
  const navigate = useNavigate({ from: '/devices/$id' });
  const metrics = useQuery(read('GET /api/v1/devices/{id}/telemetry/metrics', { path: { id } }));
  const { data: attempts } = useQuery(read('GET /api/v1/devices/{id}/deployments', { path: { id }, query: { limit: 100 } }));
  const markers = useMemo(
    () =>
      (attempts?.items ?? []).flatMap((each): Marker[] =>
        each?.state === 'succeeded' && each.finishedAt !== null ? [{ at: Date.parse(each.finishedAt) / 1_000, label: each.kind }] : [],
      ),
    [attempts],
  );
  return (
    <div className="stack">
      <SegmentedControl.Root
        size="1"
        value={range}
        onValueChange={(value) =>
          void navigate({ search: (old) => ({ ...old, range: NAMES.find((name) => name === value) }), replace: true })
        }
        aria-label="Time range"
      >
        {NAMES.map((name) => (
          <SegmentedControl.Item key={name} value={name}>
            {name}
          </SegmentedControl.Item>
        ))}
      </SegmentedControl.Root>
      <Loaded result={metrics}>
        {({ items }) =>
          items.length === 0 ? (
            <EmptyState title="No telemetry" hint="The agent reports processor, memory, disk and network where telemetry is on." />
          ) : (
            <div className="columns">
              {items.slice(0, MAX_CHARTS).map(({ name }) => (
                <MetricChart key={name} id={id} metric={name} range={range} markers={markers} />
              ))}
            </div>
          )
        }
      </Loaded>
    </div>
  );
}

function MetricChart({ id, metric, range, markers }: { id: string; metric: string; range: Range; markers: readonly Marker[] }) {
  const now = useNow();
  const from = new Date(now - RANGES[range] * 1_000).toISOString();
  const series = useQuery({
    ...read('GET /api/v1/devices/{id}/telemetry/series', { path: { id }, query: { metric, from, points: POINTS } }),
    placeholderData: keepPreviousData,
  });
  return (
    <section className="panel panel-body">
      <Loaded result={series}>
        {({ items }) => (
          <Chart
            title={metric}
            times={items.map(({ at }) => Date.parse(at) / 1_000)}
            series={[
              { name: 'average', values: items.map(({ avg }) => avg) },
              { name: 'highest', values: items.map(({ max }) => max) },
            ]}
            markers={markers}
          />
        )}
      </Loaded>
    </section>
  );
}

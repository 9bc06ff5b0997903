import { Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useMemo, useRef, useState } from 'react';
import { call } from '../../api/client.ts';
import type { RolloutCells, RolloutDetail } from '../../generated/api.ts';
import { useLive } from '../../live/live.tsx';
import { words } from '../../ui/fleet/status.tsx';
import { Loaded } from '../../ui/states.tsx';
import { type Cell, CellCanvas, LEGEND } from './cell-canvas.tsx';

/** Cells are read again after this time, in case an event said less than the whole. */
const REREAD_MS = 15_000;

/** The waves as lanes, each device a cell that changes live. */
export function Lanes({ rollout }: { rollout: RolloutDetail }) {
  const isOver = rollout.finishedAt !== null;
  const cells = useQuery({
    // Not below "rollouts": live events change single cells, and the whole is read rarely.
    queryKey: ['cells', rollout.id, rollout.state],
    queryFn: ({ signal }) => call('GET /api/v1/rollouts/{id}/cells', { path: { id: rollout.id } }, signal),
    ...(isOver ? {} : { refetchInterval: REREAD_MS }),
  });
  return <Loaded result={cells}>{(data) => <LaneList rollout={rollout} cells={data} />}</Loaded>;
}

function LaneList({ rollout, cells }: { rollout: RolloutDetail; cells: RolloutCells }) {
  const lanes = useLiveLanes(rollout.id, cells);
  const navigate = useNavigate();
  const titles = new Map(rollout.waves.map(({ wave, name }) => [wave, name]));
  return (
    <div className="stack">
      <Legend />
      {lanes.map(({ wave, cells: of }) => (
        <section key={wave ?? 'none'} className="lane" aria-label={wave === null ? 'No wave yet' : `Wave ${wave + 1}`}>
          <Text as="div" size="2" weight="medium">
            {wave === null ? 'Not in a wave yet' : (titles.get(wave) ?? `Wave ${wave + 1}`)}{' '}
            <Text color="gray">{of.length.toLocaleString('en')} devices</Text>
          </Text>
          <Text as="div" size="1" color="gray">
            {summaryOf(of)}
          </Text>
          <CellCanvas cells={of} onOpen={(id) => void navigate({ to: '/devices/$id', params: { id }, search: { tab: 'history' } })} />
        </section>
      ))}
      {cells.more > 0 && (
        <Text size="2" color="gray">
          {cells.more.toLocaleString('en')} more devices are listed under “Devices”.
        </Text>
      )}
    </div>
  );
}

type Lane = { wave: number | null; cells: Cell[] };

/** The read cells, with the events that came after them on top. */
function useLiveLanes(rolloutId: string, cells: RolloutCells): Lane[] {
  const [changes, setChanges] = useState<ReadonlyMap<string, string>>(new Map());
  const readAt = useRef(cells.cursor);
  useEffect(() => {
    readAt.current = cells.cursor;
    setChanges(new Map());
  }, [cells]);
  useLive([`rollout:${rolloutId}`], ({ events }) => {
    const news = events.filter(
      ({ type, data, cursor }) => type === 'deployment.state' && data.rolloutId === rolloutId && cursor > readAt.current,
    );
    if (news.length > 0)
      setChanges(
        (old) =>
          new Map([...old, ...news.map(({ subject, data }): [string, string] => [subject.slice('device:'.length), String(data.state)])]),
      );
  });
  return useMemo(() => {
    const lanes = new Map<number | null, Cell[]>();
    for (const [index, id] of cells.ids.entries()) {
      const wave = cells.wave[index] ?? null;
      const state = changes.get(id) ?? cells.states[cells.state[index] ?? 0] ?? 'waiting';
      const lane = lanes.get(wave) ?? [];
      lane.push({ id, state });
      lanes.set(wave, lane);
    }
    return [...lanes].map(([wave, of]) => ({ wave, cells: of })).toSorted((a, b) => (a.wave ?? 1e9) - (b.wave ?? 1e9));
  }, [cells, changes]);
}

function summaryOf(cells: readonly Cell[]): string {
  const counts = new Map<string, number>();
  for (const { state } of cells) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count.toLocaleString('en')} ${words(state).toLowerCase()}`).join(', ');
}

function Legend() {
  return (
    <div className="legend" aria-hidden>
      {LEGEND.map(({ word, kind }) => (
        <span key={kind}>
          <i data-cell={kind} /> {word}
        </span>
      ))}
    </div>
  );
}

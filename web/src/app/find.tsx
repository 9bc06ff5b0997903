import { Text } from '@radix-ui/themes';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { read } from '../api/query.ts';
import { Time } from '../ui/time.tsx';
import { useAppearance } from './appearance.tsx';
import { PLACES } from './navigation.ts';

/** `value` is unique among all findings. */
type Finding = { value: string; shown: ReactNode; run: () => unknown };
type Group = { heading: string; items: Finding[] };

/** Findings of one kind; devices are limited by the server. */
const MOST = 8;

/** @param wanted in lower case; empty: only pages and acts */
export function useFindings(wanted: string, onHelp: () => void): Group[] {
  const groups = [useDevices(wanted), useSourcesAndRollouts(wanted), usePages(wanted), useActs(wanted, onHelp)];
  return groups.flat().filter(({ items }) => items.length > 0);
}

function useDevices(wanted: string): Group[] {
  const navigate = useNavigate();
  const { data } = useQuery({
    ...read('GET /api/v1/devices', { query: { q: wanted, limit: MOST } }),
    enabled: wanted !== '',
    placeholderData: keepPreviousData,
  });
  const items = (wanted === '' ? [] : (data?.items ?? [])).map(({ id, name }) => ({
    value: `device ${id}`,
    shown: (
      <>
        {id} {name !== id && <Text color="gray">{name}</Text>}
      </>
    ),
    run: () => navigate({ to: '/devices/$id', params: { id } }),
  }));
  return [{ heading: 'Devices', items }];
}

function useSourcesAndRollouts(wanted: string): Group[] {
  const navigate = useNavigate();
  const { data: sources } = useQuery(read('GET /api/v1/sources', { query: { limit: 100 } }));
  const { data: rollouts } = useQuery(read('GET /api/v1/rollouts', { query: { limit: 100 } }));
  if (wanted === '') return [];
  const names = new Map((sources?.items ?? []).map(({ id, name }) => [id, name]));
  const ofSources = [...names]
    .filter(([, name]) => name.toLowerCase().includes(wanted))
    .map(([id, name]) => ({ value: `source ${id}`, shown: name, run: () => navigate({ to: '/sources/$id', params: { id } }) }));
  const ofRollouts = (rollouts?.items ?? [])
    .map((rollout) => ({ ...rollout, name: names.get(rollout.sourceId) ?? 'rollout' }))
    .filter(({ id, name, state }) => id.startsWith(wanted) || `rollout ${name} ${state}`.toLowerCase().includes(wanted))
    .map(({ id, name, state, createdAt }) => ({
      value: `rollout ${id}`,
      shown: (
        <>
          Rollout {name} {state}{' '}
          <Text color="gray">
            <Time at={createdAt} />
          </Text>
        </>
      ),
      run: () => navigate({ to: '/rollouts/$id', params: { id } }),
    }));
  return [
    { heading: 'Sources', items: ofSources.slice(0, MOST) },
    { heading: 'Rollouts', items: ofRollouts.slice(0, MOST) },
  ];
}

function usePages(wanted: string): Group[] {
  const navigate = useNavigate();
  const items = PLACES.filter(({ title }) => title.toLowerCase().includes(wanted)).map(({ to, title, icon: Icon }) => ({
    value: `page ${to}`,
    shown: (
      <>
        <Icon size={14} aria-hidden /> {title}
      </>
    ),
    run: () => navigate({ to }),
  }));
  return [{ heading: 'Pages', items }];
}

function useActs(wanted: string, onHelp: () => void): Group[] {
  const navigate = useNavigate();
  const { shown: scheme, timeZone, setScheme, setTimeZone } = useAppearance();
  const acts: [string, () => unknown][] = [
    [`Use ${scheme === 'dark' ? 'light' : 'dark'} colours`, () => setScheme(scheme === 'dark' ? 'light' : 'dark')],
    [`Show times in ${timeZone === 'utc' ? 'local time' : 'UTC'}`, () => setTimeZone(timeZone === 'utc' ? 'local' : 'utc')],
    ['Show keyboard help', onHelp],
    ['Show failed devices', () => navigate({ to: '/devices', search: { status: ['failed', 'rolled_back'] } })],
  ];
  const items = acts
    .filter(([title]) => title.toLowerCase().includes(wanted))
    .map(([title, run]) => ({ value: `act ${title}`, shown: title, run }));
  return [{ heading: 'Acts', items }];
}

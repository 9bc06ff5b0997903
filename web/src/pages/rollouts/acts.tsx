import { Button, Text, TextField } from '@radix-ui/themes';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call } from '../../api/client.ts';
import { outdate, read } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import type { RolloutDetail, RolloutEffects } from '../../generated/api.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { RollBack } from '../sources/roll-back.tsx';
import { RolloutDiff } from './diff.tsx';

type Effect = RolloutEffects['effects'][number];
type Act = Effect['act'];
type Run = (id: string, words: string) => Promise<unknown>;

const said = (words: string, fallback: string) => (words.trim() === '' ? fallback : words.trim());
const path = (id: string) => ({ path: { id } });

/** Titles, and how each act is done; `asks`: a text that the act keeps. */
const ACTS: Record<Act, { title: string; danger?: boolean; asks?: string; run: Run }> = {
  approve: {
    title: 'Approve',
    asks: 'Comment',
    run: (id, words) => call('POST /api/v1/rollouts/{id}/approve', { ...path(id), body: words.trim() === '' ? {} : { comment: words } }),
  },
  reject: {
    title: 'Reject',
    danger: true,
    asks: 'Comment',
    run: (id, words) => call('POST /api/v1/rollouts/{id}/reject', { ...path(id), body: words.trim() === '' ? {} : { comment: words } }),
  },
  resume: { title: 'Resume', run: (id) => call('POST /api/v1/rollouts/{id}/resume', path(id)) },
  pause: {
    title: 'Pause',
    asks: 'Reason',
    run: (id, words) => call('POST /api/v1/rollouts/{id}/pause', { ...path(id), body: { reason: said(words, 'paused by an operator') } }),
  },
  'skip-wave': { title: 'Skip wave', run: (id) => call('POST /api/v1/rollouts/{id}/skip-wave', path(id)) },
  'override-windows': { title: 'Ignore windows', run: (id) => call('POST /api/v1/rollouts/{id}/override-windows', path(id)) },
  retry: { title: 'Retry failed', run: (id) => call('POST /api/v1/rollouts/{id}/retry', path(id)) },
  abort: {
    title: 'Abort',
    danger: true,
    asks: 'Reason',
    run: (id, words) => call('POST /api/v1/rollouts/{id}/abort', { ...path(id), body: { reason: said(words, 'aborted by an operator') } }),
  },
};

/** The acts that are possible now, each with the number of devices that it touches. */
export function RolloutActs({ rollout }: { rollout: RolloutDetail }) {
  const mayOperate = useMay('operator');
  const { data } = useQuery({ ...read('GET /api/v1/rollouts/{id}/effects', path(rollout.id)), enabled: mayOperate });
  const { data: source } = useQuery(read('GET /api/v1/sources/{id}', { path: { id: rollout.sourceId } }));
  if (!mayOperate || data === undefined) return null;
  // Only the commit that runs now can be rolled back; older rollouts are history.
  const isPresent = rollout.state === 'completed' && rollout.kind === 'revision' && source?.revisionId === rollout.revisionId;
  return (
    <>
      {data.effects
        .filter(({ allowed }) => allowed)
        .map((effect) => (
          <ActButton key={effect.act} id={rollout.id} effect={effect} />
        ))}
      {isPresent && <RollBack source={source} />}
    </>
  );
}

function ActButton({ id, effect }: { id: string; effect: Effect }) {
  const client = useQueryClient();
  const [words, setWords] = useState('');
  const { title, danger = false, asks, run } = ACTS[effect.act];
  const confirm = async () => {
    await run(id, words);
    await outdate(client, ['rollouts', 'devices', 'attention', 'summary']);
  };
  return (
    <Confirm
      trigger={
        <Button
          variant={effect.act === 'approve' || effect.act === 'resume' ? 'solid' : 'surface'}
          color={danger ? 'red' : effect.act === 'approve' || effect.act === 'resume' ? 'indigo' : 'gray'}
        >
          {title}
        </Button>
      }
      title={`${title} this rollout?`}
      act={title}
      danger={danger}
      onConfirm={confirm}
    >
      <Text as="p" size="2">
        {effect.detail}
      </Text>
      <Numbers effect={effect} />
      {(effect.starts > 0 || effect.reverts > 0) && (
        <details open>
          <summary>
            <Text size="2">Changes</Text>
          </summary>
          <RolloutDiff id={id} />
        </details>
      )}
      {asks !== undefined && (
        <TextField.Root
          aria-label={asks}
          placeholder={asks}
          value={words}
          maxLength={500}
          onChange={(event) => setWords(event.target.value)}
        />
      )}
    </Confirm>
  );
}

function Numbers({ effect: { starts, stops, reverts } }: { effect: Effect }) {
  const parts = [
    [starts, 'device starts', 'devices start'],
    [stops, 'device stops', 'devices stop'],
    [reverts, 'device rolls back', 'devices roll back'],
  ] as const;
  const shown = parts
    .filter(([count]) => count > 0)
    .map(([count, one, many]) => `${count.toLocaleString('en')} ${count === 1 ? one : many}`);
  return (
    <Text as="p" size="2" weight="medium">
      {shown.length === 0 ? 'It touches no device now.' : shown.join(', ')}
    </Text>
  );
}

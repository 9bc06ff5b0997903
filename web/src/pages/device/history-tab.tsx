import { Text } from '@radix-ui/themes';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useSearch } from '@tanstack/react-router';
import { type ItemOf, read, readPages } from '../../api/query.ts';
import { State, words } from '../../ui/fleet/status.tsx';
import { EmptyState, Loaded } from '../../ui/states.tsx';
import { duration, Time } from '../../ui/time.tsx';
import { LogLines } from './log/log-lines.tsx';

type Row = ItemOf<'GET /api/v1/devices/{id}/deployments'>;

/** Every attempt, the newest first; the chosen one with its steps and log. */
export function HistoryTab({ id }: { id: string }) {
  const { at } = useSearch({ from: '/signed-in/devices/$id' });
  const list = useInfiniteQuery(readPages('GET /api/v1/devices/{id}/deployments', { path: { id } }));
  return (
    <Loaded result={list}>
      {({ pages }) => {
        const rows = pages.flatMap(({ items }) => items).flatMap((row) => (row === null ? [] : [row]));
        if (rows.length === 0)
          return <EmptyState title="No attempt yet" hint="The device gets its first bundle when it follows a source and is seen." />;
        return (
          <div className="split-view">
            <ol className="lines panel">
              {rows.map((row) => (
                <AttemptLine key={row.id} row={row} isChosen={row.id === (at ?? rows[0]?.id)} />
              ))}
              {list.hasNextPage && (
                <li>
                  <button type="button" className="link-button" onClick={() => void list.fetchNextPage()}>
                    Older attempts
                  </button>
                </li>
              )}
            </ol>
            <AttemptView id={id} deploymentId={at ?? rows[0]?.id ?? ''} />
          </div>
        );
      }}
    </Loaded>
  );
}

function AttemptLine({ row, isChosen }: { row: NonNullable<Row>; isChosen: boolean }) {
  return (
    <li data-chosen={isChosen}>
      <Link
        to="/devices/$id"
        params={{ id: row.deviceId }}
        search={{ tab: 'history', at: row.id }}
        className="attempt-line"
        {...(isChosen ? { 'aria-current': true } : {})}
      >
        <Text size="2">
          <State state={row.state} /> <Text color="gray">{words(row.kind)}</Text>
        </Text>
        <Text size="1" color="gray">
          <Time at={row.finishedAt ?? row.createdAt} /> · try {row.attempt}
        </Text>
        {row.error !== null && (
          <Text size="1" color="red" className="clip">
            {row.error.detail}
          </Text>
        )}
      </Link>
    </li>
  );
}

function AttemptView({ id, deploymentId }: { id: string; deploymentId: string }) {
  const detail = useQuery(read('GET /api/v1/devices/{id}/deployments/{deploymentId}', { path: { id, deploymentId } }));
  return (
    <Loaded result={detail}>
      {(attempt) => (
        <section className="panel">
          <h2>
            <State state={attempt.state} />
            {attempt.rolloutId !== null && (
              <Link className="link panel-more" to="/rollouts/$id" params={{ id: attempt.rolloutId }}>
                Rollout
              </Link>
            )}
          </h2>
          <div className="panel-body stack">
            {attempt.error !== null && (
              <Text size="2" color="red" as="p" className="wrap-anywhere">
                <span className="mono">{attempt.error.code}</span> {attempt.error.detail}
              </Text>
            )}
            <ol className="steps">
              {attempt.steps.map((step) => (
                <li key={`${step.state} ${step.at}`}>
                  <State state={step.state} /> <Time at={step.at} exact />{' '}
                  {step.durationMs !== null && <Text color="gray">{duration(step.durationMs)}</Text>}
                </li>
              ))}
            </ol>
            <LogLines lines={attempt.logs} empty="The device sent no log about this attempt." />
          </div>
        </section>
      )}
    </Loaded>
  );
}

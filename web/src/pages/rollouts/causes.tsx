import { useQuery } from '@tanstack/react-query';
import { read } from '../../api/query.ts';
import { Cause } from '../../ui/fleet/cause.tsx';
import { EmptyState, Loaded } from '../../ui/states.tsx';

/** The failures of a rollout, grouped by their cause. */
export function Causes({ id, sourceId }: { id: string; sourceId: string }) {
  const causes = useQuery(read('GET /api/v1/attention/causes', { query: { rollout: id } }));
  return (
    <Loaded result={causes}>
      {({ causes: groups }) =>
        groups.length === 0 ? (
          <EmptyState title="No device failed" />
        ) : (
          <div className="panel panel-body">
            {groups.map((cause) => (
              <Cause key={cause.cause} cause={cause} sourceId={sourceId} />
            ))}
          </div>
        )
      }
    </Loaded>
  );
}

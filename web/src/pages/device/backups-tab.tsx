import { Button, Text } from '@radix-ui/themes';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { call } from '../../api/client.ts';
import { outdate, read } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { EmptyState, Loaded } from '../../ui/states.tsx';
import { Time } from '../../ui/time.tsx';

/** The kept states before changes; a restore is a rollback that holds the device. */
export function BackupsTab({ id }: { id: string }) {
  const backups = useQuery(read('GET /api/v1/devices/{id}/backups', { path: { id }, query: { limit: 50 } }));
  const mayOperate = useMay('operator');
  const client = useQueryClient();
  const restore = async (backup: string) => {
    await call('POST /api/v1/devices/{id}/rollback', { path: { id }, body: { to: { backup }, reason: 'restored from a backup' } });
    await outdate(client, ['devices']);
  };
  return (
    <Loaded result={backups}>
      {({ items }) =>
        items.length === 0 ? (
          <EmptyState title="No backup yet" hint="The service makes one before each change of the device." />
        ) : (
          <ul className="lines panel">
            {items.map((backup) => (
              <li key={backup.id} className="line-acts">
                <Text size="2">
                  <Time at={backup.createdAt} exact />{' '}
                  <span className="mono">{backup.bundle === null ? 'nothing ran' : backup.bundle.slice(0, 19)}</span>
                </Text>
                {mayOperate && backup.bundle !== null && (
                  <Confirm
                    trigger={
                      <Button size="1" variant="surface" color="gray">
                        Restore
                      </Button>
                    }
                    title="Restore this backup?"
                    act="Restore"
                    onConfirm={() => restore(backup.id)}
                  >
                    <Text size="2">The device gets these files, and is held there until somebody releases it. It touches one device.</Text>
                  </Confirm>
                )}
              </li>
            ))}
          </ul>
        )
      }
    </Loaded>
  );
}

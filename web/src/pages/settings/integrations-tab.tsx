import { Button, Flex, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { read, useAct } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { Loaded } from '../../ui/states.tsx';
import { Facts } from '../../ui/values/facts.tsx';

/** The settings for all device platforms of the organization. */
export function IntegrationsTab() {
  const settings = useQuery(read('GET /api/v1/integrations/settings', {}));
  const mayAdminister = useMay('admin');
  return (
    <section className="panel" aria-label="Syncing with device platforms">
      <h2>Syncing with device platforms</h2>
      <div className="panel-body stack">
        <Loaded result={settings} lines={2}>
          {({ syncingEnabled, primary }) => (
            <>
              <Facts
                facts={[
                  ['Syncing', syncingEnabled ? 'on: every enabled integration syncs' : 'off: no integration syncs'],
                  [
                    'Primary integration',
                    primary === null ? (
                      'none'
                    ) : (
                      <Link key="primary" to="/integrations/$id" params={{ id: primary }} className="link">
                        {primary}
                      </Link>
                    ),
                  ],
                ]}
              />
              {mayAdminister && <SwitchSyncing isOn={syncingEnabled} />}
            </>
          )}
        </Loaded>
      </div>
    </section>
  );
}

function SwitchSyncing({ isOn }: { isOn: boolean }) {
  const change = useAct('PUT /api/v1/integrations/settings', { outdates: ['integrations'] });
  const act = isOn ? 'Stop syncing' : 'Start syncing';
  return (
    <Flex>
      <Confirm
        trigger={<Button variant="soft">{act}</Button>}
        title={`${act} with all platforms?`}
        act={act}
        danger={isOn}
        onConfirm={() => change.mutateAsync({ body: { syncingEnabled: !isOn } })}
      >
        <Text size="2">
          {isOn
            ? 'No integration of the organization syncs, and hooks of platforms are ignored. Nothing is removed.'
            : 'Every enabled integration syncs again.'}
        </Text>
      </Confirm>
    </Flex>
  );
}

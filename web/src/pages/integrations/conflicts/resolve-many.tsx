import { Button, Callout, Flex, Text } from '@radix-ui/themes';
import { useState } from 'react';
import { useAct } from '../../../api/query.ts';
import { Confirm } from '../../../ui/confirm.tsx';

/** Resolves the chosen conflicts in one go, all to the same side. */
/** @param versions of the values that the list shows, by id */
export function ResolveMany({ versions, onDone }: { versions: Readonly<Record<string, string>>; onDone: () => void }) {
  const ids = Object.keys(versions);
  const [skipped, setSkipped] = useState(0);
  const resolve = useAct('POST /api/v1/conflicts:resolve', { outdates: ['conflicts', 'integrations'] });
  const count = `${ids.length.toLocaleString('en')} ${ids.length === 1 ? 'conflict' : 'conflicts'}`;
  const run = async (choice: 'local' | 'remote') => {
    const outcome = await resolve.mutateAsync({ body: { ids, versions, choice } });
    setSkipped(outcome.skipped.length);
    onDone();
  };
  return (
    <Flex className="panel panel-body" gap="3" align="center" wrap="wrap" role="region" aria-label="Chosen conflicts">
      <Text size="2" weight="medium">
        {count} chosen
      </Text>
      {(['local', 'remote'] as const).map((choice) => (
        <Confirm
          key={choice}
          trigger={
            <Button size="1" variant="soft">
              {choice === 'local' ? 'Keep the values here' : "Take the platform's values"}
            </Button>
          }
          title={choice === 'local' ? `Keep the values here in ${count}?` : `Take the platform's values in ${count}?`}
          act="Resolve"
          onConfirm={() => run(choice)}
        >
          <Text as="p" size="2">
            {choice === 'local'
              ? 'The next sync, which runs at once, writes the values of here to the platform.'
              : 'The devices here get the values of the platform.'}
          </Text>
        </Confirm>
      ))}
      {skipped > 0 && (
        <Callout.Root color="amber" size="1">
          <Callout.Text>{skipped} were not open any more, or have other values now.</Callout.Text>
        </Callout.Root>
      )}
    </Flex>
  );
}

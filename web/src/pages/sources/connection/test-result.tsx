import { Callout, Code } from '@radix-ui/themes';
import { CircleCheck, OctagonX } from 'lucide-react';
import type { SourceTest } from '../../../generated/api.ts';
import { duration } from '../../../ui/time.tsx';

/** The answer of the Git host to a test of the connection. */
export function TestResult({ result: { ok, head, error, durationMs } }: { result: SourceTest }) {
  if (!ok || head === null)
    return (
      <Callout.Root color="red" role="alert">
        <Callout.Icon>
          <OctagonX size={16} />
        </Callout.Icon>
        <Callout.Text>The connection does not work: {error?.detail}</Callout.Text>
      </Callout.Root>
    );
  return (
    <Callout.Root color="green" role="status">
      <Callout.Icon>
        <CircleCheck size={16} />
      </Callout.Icon>
      <Callout.Text>
        The connection works: {head.ref.replace(/^refs\/(heads|tags)\//, '')} is at <Code>{head.commit.slice(0, 8)}</Code>, answered in{' '}
        {duration(durationMs)}.
      </Callout.Text>
    </Callout.Root>
  );
}

import { Button, Callout, Flex } from '@radix-ui/themes';
import { PlugZap } from 'lucide-react';
import { ApiError } from '../../../api/client.ts';
import { ErrorState } from '../../../ui/states.tsx';
import { TestResult } from './test-result.tsx';
import type { Test } from './use-test.ts';

type Props = { test: Test; save: () => Promise<unknown>; act: string; error: Error | null; isSaving: boolean };

/** First the test, then the save. What a test refuses can be saved all the same: a platform may be away for an hour. */
export function SaveBar({ test, save, act, error, isSaving }: Props) {
  const isProven = test.result?.ok === true;
  const run = () => void save().catch(() => undefined);
  return (
    <div className="stack">
      {test.result !== undefined && <TestResult test={test.result} />}
      <FormError error={error ?? test.error} />
      <Flex gap="3" align="center" wrap="wrap">
        <Button variant={isProven ? 'soft' : 'solid'} loading={test.isRunning} onClick={test.run}>
          <PlugZap size={14} aria-hidden /> Test the connection
        </Button>
        <Button variant={isProven ? 'solid' : 'soft'} color={isProven ? 'indigo' : 'gray'} loading={isSaving} onClick={run}>
          {isProven ? act : `${act} without a test`}
        </Button>
      </Flex>
    </div>
  );
}

/** Errors that name fields stand at them; here it says so. */
export function FormError({ error }: { error: Error | null }) {
  if (error === null) return null;
  if (!(error instanceof ApiError) || error.errors.length === 0) return <ErrorState error={error} />;
  const { length } = error.errors;
  return (
    <Callout.Root color="red" role="alert">
      <Callout.Text>
        {length === 1 ? 'One field must be corrected; it is marked.' : `${length} fields must be corrected; they are marked.`}
      </Callout.Text>
    </Callout.Root>
  );
}

import { useState } from 'react';
import type { Input } from '../../../api/client.ts';
import { useAct } from '../../../api/query.ts';
import type { IntegrationTest } from '../../../generated/api.ts';

type TestOperation = 'POST /api/v1/integrations/test' | 'POST /api/v1/integrations/{id}/test';

export type Test = {
  run: () => void;
  isRunning: boolean;
  /** The answer for what the form holds now. */
  result: IntegrationTest | undefined;
  error: Error | null;
};

/** Tries an account at its platform. An answer counts until what was tried is changed. */
export function useTest<O extends TestOperation>(operation: O, input: Input<O>): Test {
  const [answer, setAnswer] = useState<{ tried: string; result: IntegrationTest }>();
  const act = useAct(operation, { outdates: [] });
  const tried = JSON.stringify(input);
  return {
    run: () => act.mutate(input, { onSuccess: (result) => setAnswer({ tried, result }) }),
    isRunning: act.isPending,
    result: answer?.tried === tried ? answer.result : undefined,
    error: act.error,
  };
}

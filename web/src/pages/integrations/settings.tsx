import { Callout } from '@radix-ui/themes';
import { useState } from 'react';
import { useAct } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import type { Integration, IntegrationProvider } from '../../generated/api.ts';
import { accountOf, bodyOf, type Draft, draftOf } from './form/draft.ts';
import { fieldErrorsOf, IntegrationForm } from './form/integration-form.tsx';
import { SaveBar } from './form/save-bar.tsx';
import { useTest } from './form/use-test.ts';

type Props = { integration: Integration; provider: IntegrationProvider };

/** The same form as for a new one. What somebody types stays, whatever events arrive meanwhile. */
export function IntegrationSettings({ integration, provider }: Props) {
  const mayChange = useMay('admin');
  const [draft, setDraft] = useState<Draft>(() => draftOf(integration));
  const path = { id: integration.slug };
  const test = useTest('POST /api/v1/integrations/{id}/test', { path, body: accountOf(draft) });
  const change = useAct('PATCH /api/v1/integrations/{id}', { onSuccess: (after) => setDraft(draftOf(after)) });
  if (!mayChange) return null;
  return (
    <IntegrationForm
      {...{ provider, draft }}
      onChange={setDraft}
      errors={fieldErrorsOf(change.error ?? test.error, test.result, provider)}
      hasCredentials={Object.keys(integration.credentials).length > 0}
      test={test.result}
    >
      {change.isSuccess && (
        <Callout.Root color="green" role="status">
          <Callout.Text>Saved.</Callout.Text>
        </Callout.Root>
      )}
      <SaveBar
        test={test}
        save={() => change.mutateAsync({ path, body: bodyOf(draft) })}
        act="Save"
        error={change.error}
        isSaving={change.isPending}
      />
    </IntegrationForm>
  );
}

import { Button, Checkbox, Flex, Text } from '@radix-ui/themes';
import { useState } from 'react';
import { useAct } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Integration, IntegrationProvider } from '../../../generated/api.ts';
import { type Fields, objectSchema } from '../../../ui/form/schema.ts';
import { SchemaForm } from '../../../ui/form/schema-form.tsx';
import { fieldErrorsOf } from '../form/integration-form.tsx';
import { FormError } from '../form/save-bar.tsx';

type Props = { integration: Integration; provider: IntegrationProvider | undefined };

/** Which credentials are stored, by their last characters, and their replacement. */
export function Credentials({ integration, provider }: Props) {
  const mayRenew = useMay('admin');
  const [isRenewing, setRenewing] = useState(integration.blockedReason !== null);
  const stored = Object.entries(integration.credentials);
  return (
    <section className="panel" id="credentials">
      <h2>Credentials</h2>
      <div className="panel-body stack">
        {stored.length === 0 && <p className="hint">None are stored.</p>}
        {stored.map(([name, last]) => (
          <Text key={name} as="p" size="2">
            {name} <span className="mono">{last === '' ? '••••' : `•••• ${last}`}</span>
          </Text>
        ))}
        {mayRenew && provider !== undefined && isRenewing && (
          <Renewal key={integration.updatedAt} {...{ integration, provider }} onDone={() => setRenewing(false)} />
        )}
        {mayRenew && provider !== undefined && !isRenewing && (
          <Flex>
            <Button variant="soft" color="gray" size="1" onClick={() => setRenewing(true)}>
              Enter new credentials
            </Button>
          </Flex>
        )}
      </div>
    </section>
  );
}

function Renewal({ integration, provider, onDone }: { integration: Integration; provider: IntegrationProvider; onDone: () => void }) {
  const [credentials, setCredentials] = useState<Fields>({});
  const [force, setForce] = useState(false);
  const renew = useAct('POST /api/v1/integrations/{id}/credentials', { onSuccess: onDone });
  const save = () => renew.mutate({ path: { id: integration.slug }, body: { credentials, force } });
  return (
    <div className="stack">
      <SchemaForm
        schema={objectSchema(provider.credentials)}
        value={credentials}
        onChange={setCredentials}
        pointer="/credentials"
        errors={fieldErrorsOf(renew.error, undefined, provider)}
        isSecret
      />
      <Text as="label" size="2">
        <Checkbox checked={force} onCheckedChange={(checked) => setForce(checked === true)} /> Store them without a test, as while the
        platform is away
      </Text>
      <FormError error={renew.error} />
      <Flex gap="3">
        <Button loading={renew.isPending} onClick={save}>
          {force ? 'Store' : 'Test and store'}
        </Button>
        <Button variant="soft" color="gray" onClick={onDone}>
          Cancel
        </Button>
      </Flex>
    </div>
  );
}

import { Badge, Button, Flex, Switch, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { read, useAct } from '../../api/query.ts';
import type { IntegrationProvider } from '../../generated/api.ts';
import { Field } from '../../ui/form/field.tsx';
import { PageHead } from '../../ui/page-head.tsx';
import { EmptyState, Loaded } from '../../ui/states.tsx';
import { accountOf, bodyOf, type Draft, newDraft } from './form/draft.ts';
import { fieldErrorsOf, IntegrationForm } from './form/integration-form.tsx';
import { SaveBar } from './form/save-bar.tsx';
import { useTest } from './form/use-test.ts';
import { HookSecret } from './hook-secret.tsx';

/** Adds an account on a platform: first the kind of platform, then its form. */
export function AddIntegration({ kind }: { kind: string }) {
  const providers = useQuery(read('GET /api/v1/integrations/providers', {}));
  return (
    <Loaded result={providers}>
      {({ items }) => {
        const provider = items.find((one) => one.kind === kind);
        return (
          <>
            <PageHead
              title={provider === undefined ? 'Add an integration' : `Add ${provider.title}`}
              acts={
                <Button asChild variant="soft" color="gray">
                  <Link to="/integrations" search={provider === undefined ? {} : { add: 'choose' }}>
                    {provider === undefined ? 'Cancel' : 'Choose another platform'}
                  </Link>
                </Button>
              }
            />
            {provider === undefined ? <Providers providers={items} /> : <NewIntegration key={kind} provider={provider} />}
          </>
        );
      }}
    </Loaded>
  );
}

function Providers({ providers }: { providers: readonly IntegrationProvider[] }) {
  if (providers.length === 0)
    return <EmptyState title="This service knows no platform" hint="An operator of the service switched them off." />;
  return (
    <ul className="choices">
      {providers.map(({ kind, title, abilities }) => (
        <li key={kind}>
          <Link to="/integrations" search={{ add: kind }}>
            <Text size="3" weight="medium">
              {title}
            </Text>
            <Flex gap="1" wrap="wrap">
              {abilitiesOf(abilities).map((ability) => (
                <Badge key={ability} color="gray">
                  {ability}
                </Badge>
              ))}
            </Flex>
          </Link>
        </li>
      ))}
    </ul>
  );
}

function abilitiesOf({ list, create, update, push, execute, hook }: IntegrationProvider['abilities']): string[] {
  return [
    ...(list ? ['Lists devices'] : ['Devices by hand']),
    ...(create || update ? ['Writes fields'] : []),
    ...(push === false ? [] : [push === 'verified' ? 'Configuration, verified' : 'Configuration']),
    ...(execute ? ['Commands'] : []),
    ...(hook ? ['Hooks'] : []),
  ];
}

function NewIntegration({ provider }: { provider: IntegrationProvider }) {
  const navigate = useNavigate();
  const [draft, setDraft] = useState<Draft>(() => newDraft(provider));
  const [wantsHook, setWantsHook] = useState(false);
  const [hook, setHook] = useState<{ slug: string; secret: string; hookUrl: string }>();
  const test = useTest('POST /api/v1/integrations/test', { body: { type: provider.kind, ...accountOf(draft) } });
  const create = useAct('POST /api/v1/integrations');
  const renew = useAct('POST /api/v1/integrations/{id}/hook-secret');
  const open = (slug: string) => navigate({ to: '/integrations/$id', params: { id: slug } });
  const save = async () => {
    const { slug } = await create.mutateAsync({ body: { type: provider.kind, ...bodyOf(draft) } });
    if (!wantsHook) return open(slug);
    setHook({ slug, ...(await renew.mutateAsync({ path: { id: slug }, body: {} })) });
    return undefined;
  };
  if (hook !== undefined) return <HookSecret {...hook} onDone={() => void open(hook.slug)} />;
  return (
    <IntegrationForm
      {...{ provider, draft }}
      onChange={setDraft}
      errors={fieldErrorsOf(create.error ?? test.error, test.result, provider)}
      hasCredentials={false}
      test={test.result}
    >
      {provider.abilities.hook && (
        <Field
          label="Take hooks of the platform"
          description="The platform then announces changes at once. You get an address and a secret."
        >
          {({ id, 'aria-describedby': about }) => (
            <Switch id={id} aria-describedby={about} checked={wantsHook} onCheckedChange={setWantsHook} style={{ alignSelf: 'start' }} />
          )}
        </Field>
      )}
      <SaveBar test={test} save={save} act="Add the integration" error={create.error ?? renew.error} isSaving={create.isPending} />
    </IntegrationForm>
  );
}

import { Button } from '@radix-ui/themes';
import { ChoiceInput, TextInput } from '../../../ui/form/form.tsx';
import { guessHost, HOSTS, newSecret } from './hosts.ts';

/** `keep`: as it is stored; '': none. */
export type WebhookFields = { provider: string; secret: string };
export const NO_WEBHOOK: WebhookFields = { provider: '', secret: '' };

/** The value for the API; undefined: nothing changes; null: none. */
export function webhookOf({ provider, secret }: WebhookFields) {
  if (provider === 'keep') return undefined;
  return provider === '' ? null : { provider, secret };
}

type Props = { value: WebhookFields; onChange: (value: WebhookFields) => void; url: string; kept?: string | undefined };

/** The sender of hooks and its secret. */
export function WebhookInputs({ value, onChange, url, kept }: Props) {
  const { provider, secret } = value;
  const hosts = HOSTS.map((host) => ({ value: host.provider, label: host.title }));
  const options = [
    ...(kept === undefined ? [] : [{ value: 'keep', label: `Keep: ${kept}` }]),
    { value: 'none', label: 'None: polling alone finds commits' },
    ...hosts,
  ];
  const guess = guessHost(url);
  const choose = (chosen: string) =>
    onChange(
      chosen === 'none' || chosen === 'keep' ? { provider: chosen === 'none' ? '' : 'keep', secret: '' } : { ...value, provider: chosen },
    );
  return (
    <>
      <ChoiceInput
        label="Webhook"
        name="webhook"
        value={provider === '' ? 'none' : provider}
        onChange={choose}
        options={options}
        hint={
          provider === '' && guess !== 'generic'
            ? `The address looks like ${HOSTS.find((host) => host.provider === guess)?.title}`
            : undefined
        }
      />
      {provider !== '' && provider !== 'keep' && (
        <TextInput
          label="Secret"
          name="webhook/secret"
          required
          value={secret}
          onChange={(next) => onChange({ provider, secret: next })}
          hint="The same secret stands at the Git host. Copy it now: it is never shown again."
          beside={
            <Button type="button" size="1" variant="ghost" onClick={() => onChange({ provider, secret: newSecret(provider) })}>
              Generate
            </Button>
          }
        />
      )}
    </>
  );
}

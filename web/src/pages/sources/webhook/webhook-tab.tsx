import { Button, Callout, Link as ExternalLink, Flex, Text } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { CircleCheck, CircleDashed, type LucideIcon, TriangleAlert } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { useAct } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Delivery, Source, WebhookInstalled } from '../../../generated/api.ts';
import { State } from '../../../ui/fleet/status.tsx';
import { ChoiceInput } from '../../../ui/form/form.tsx';
import { ErrorState } from '../../../ui/states.tsx';
import { Time } from '../../../ui/time.tsx';
import { CopyText } from '../../../ui/values/copy.tsx';
import { Facts } from '../../../ui/values/facts.tsx';
import { guessHost, HOSTS, type Host, hostOf } from '../connection/hosts.ts';
import { Deliveries, deliveriesQuery } from './deliveries.tsx';

/** Where the host posts to, how to set it up there, and whether it works. */
export function WebhookTab({ source }: { source: Source }) {
  return (
    <>
      <div className="columns">
        <AddressPanel source={source} />
        <SetUpPanel source={source} />
      </div>
      <Deliveries source={source} />
    </>
  );
}

function AddressPanel({ source: { id, hookUrl, webhook } }: { source: Source }) {
  return (
    <section className="panel" aria-label="Webhook">
      <h2>Webhook</h2>
      <div className="panel-body stack">
        <CopyText text={hookUrl} label="the hook URL" />
        <Facts
          facts={[
            ['Sender', webhook === null ? 'not set' : (hostOf(webhook.provider)?.title ?? webhook.provider)],
            ['Secret', webhook === null ? 'not set: every delivery is refused' : webhook.secret],
          ]}
        />
        <Check sourceId={id} />
      </div>
    </section>
  );
}

const TAKEN: readonly Delivery['verdict'][] = ['accepted', 'ping', 'duplicate', 'other_ref', 'ignored'];

/** Whether the webhook works, by its last delivery. */
function Check({ sourceId }: { sourceId: string }) {
  const { data } = useInfiniteQuery(deliveriesQuery(sourceId));
  if (data === undefined) return null;
  const last = data.pages[0]?.items[0];
  if (last === undefined)
    return (
      <Verdict color="gray" icon={CircleDashed}>
        No delivery yet. Push a commit, or send a test from the settings of the host.
      </Verdict>
    );
  const isTaken = TAKEN.includes(last.verdict);
  return (
    <Verdict color={isTaken ? 'green' : 'red'} icon={isTaken ? CircleCheck : TriangleAlert}>
      {isTaken ? 'The webhook works. ' : 'The webhook does not work. '}
      The last delivery, <Time at={last.receivedAt} />: <State state={last.verdict} />. {last.detail}
    </Verdict>
  );
}

function Verdict({ color, icon: Icon, children }: { color: 'gray' | 'green' | 'red'; icon: LucideIcon; children: ReactNode }) {
  return (
    <Callout.Root color={color} role="status">
      <Callout.Icon>
        <Icon size={16} />
      </Callout.Icon>
      <Callout.Text>{children}</Callout.Text>
    </Callout.Root>
  );
}

function SetUpPanel({ source }: { source: Source }) {
  const known = source.webhook?.provider ?? source.forge?.kind ?? guessHost(source.url);
  const [provider, setProvider] = useState(known);
  const mayOperate = useMay('operator');
  const host = hostOf(provider);
  return (
    <section className="panel" aria-label="Set-up">
      <h2>Set it up</h2>
      <div className="panel-body stack">
        <ChoiceInput
          label="Git host"
          name="host"
          value={provider}
          onChange={setProvider}
          options={HOSTS.map((each) => ({ value: each.provider, label: each.title }))}
        />
        {host?.installs === true && mayOperate && <Install source={source} host={host} />}
        <Text size="2" weight="medium">
          By hand
        </Text>
        <ol className="steps">
          {host?.steps.map((step) => (
            <li key={step}>{step}</li>
          ))}
        </ol>
        {source.webhook === null && (
          <Text size="2" color="gray">
            Set the sender and a secret in the settings of this source first.
          </Text>
        )}
      </div>
    </section>
  );
}

function Install({ source, host }: { source: Source; host: Host }) {
  const install = useAct('POST /api/v1/sources/{id}/webhook');
  return (
    <Flex direction="column" gap="2">
      <Text size="2">
        Bellwether sets the webhook up by the API of the host and checks it by a test delivery. The token needs {host.token}.
      </Text>
      <Flex>
        <Button variant="soft" loading={install.isPending} onClick={() => install.mutate({ path: { id: source.id } })}>
          Install webhook
        </Button>
      </Flex>
      {install.error !== null && <ErrorState error={install.error} />}
      {install.data !== undefined && <Installed result={install.data} />}
    </Flex>
  );
}

function Installed({ result: { verified, installed, detail, settingsUrl } }: { result: WebhookInstalled }) {
  return (
    <Verdict color={verified ? 'green' : 'red'} icon={verified ? CircleCheck : TriangleAlert}>
      {verified ? `The webhook is ${installed} and a test delivery arrived.` : `The webhook is ${installed}, but not verified: ${detail}`}{' '}
      {settingsUrl !== null && /^https?:/.test(settingsUrl) && (
        <ExternalLink href={settingsUrl} target="_blank" rel="noreferrer">
          Its page at the host
        </ExternalLink>
      )}
    </Verdict>
  );
}

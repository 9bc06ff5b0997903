import { Heading } from '@radix-ui/themes';
import type { ReactNode } from 'react';
import type { Source } from '../../../generated/api.ts';
import { ChoiceInput, LinesInput, SwitchInput, TextInput } from '../../../ui/form/form.tsx';
import { Credentials } from './credentials.tsx';
import { hostOf } from './hosts.ts';
import type { ForgeKind, SettingsFields } from './settings-fields.ts';
import { WebhookInputs } from './webhook-inputs.tsx';

type Props = { fields: SettingsFields; set: (change: Partial<SettingsFields>) => void };

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="stack">
      <Heading as="h3" size="2">
        {title}
      </Heading>
      {children}
    </div>
  );
}

export function ConnectionFields({ source, fields, set }: Props & { source: Source }) {
  return (
    <Group title="Repository">
      <TextInput label="Name" name="name" required value={fields.name} onChange={(name) => set({ name })} />
      <TextInput
        label="Repository"
        name="url"
        required
        value={fields.url}
        onChange={(url) => set({ url })}
        hint="Another origin forgets the credentials: they were given for the present one"
      />
      <TextInput label="Ref" name="ref" required value={fields.ref} onChange={(ref) => set({ ref })} hint="Branch, tag or commit" />
      <ChoiceInput
        label="Layout"
        name="layout"
        value={fields.layout}
        onChange={(layout) => set({ layout })}
        options={[
          { value: 'repo', label: 'repo: all devices get the whole repository' },
          { value: 'fleet', label: 'fleet: each device has a folder' },
        ]}
      />
      <Credentials value={fields.auth} onChange={(auth) => set({ auth })} kept={source.auth} />
    </Group>
  );
}

export function BehaviourFields({ fields, set }: Props) {
  return (
    <Group title="Rollouts">
      <TextInput
        label="Check every"
        name="pollIntervalSeconds"
        type="number"
        required
        value={fields.poll}
        onChange={(poll) => set({ poll })}
        hint="Seconds, 5 to 86,400"
      />
      <SwitchInput
        label="All or nothing"
        name="allOrNothing"
        checked={fields.allOrNothing}
        onChange={(allOrNothing) => set({ allOrNothing })}
        hint="One invalid device folder blocks the whole commit"
      />
      <ChoiceInput
        label="Drift"
        name="driftPolicy"
        value={fields.driftPolicy}
        onChange={(driftPolicy) => set({ driftPolicy })}
        options={[
          { value: 'heal', label: 'Heal: put the files back' },
          { value: 'report', label: 'Report: only show it' },
        ]}
      />
      <ChoiceInput
        label="Rollout policy from"
        name="policyFrom"
        value={fields.policyFrom}
        onChange={(policyFrom) => set({ policyFrom })}
        options={[
          { value: 'git', label: 'The repository, else the policy below' },
          { value: 'source', label: 'Only the policy below' },
        ]}
      />
      <LinesInput
        label="Rollout policy"
        name="rolloutPolicy"
        rows={8}
        value={fields.policy}
        onChange={(policy) => set({ policy })}
        hint="JSON: waves, gate, errorBudget, windows, approval and more; {} rolls out to all devices at once"
      />
    </Group>
  );
}

const API_TOKEN_KINDS = [
  { value: 'none', label: 'None: the credentials above' },
  { value: 'new', label: 'Another token' },
] as const;

export function HostFields({ source, fields, set }: Props & { source: Source }) {
  const { webhook, apiToken } = source;
  const kept = webhook === null ? undefined : `${hostOf(webhook.provider)?.title ?? webhook.provider}, secret ${webhook.secret}`;
  return (
    <Group title="Git host">
      <WebhookInputs value={fields.webhook} onChange={(next) => set({ webhook: next })} url={fields.url} kept={kept} />
      <SwitchInput
        label="Report at the host"
        name="reportStatus"
        checked={fields.reportStatus}
        onChange={(reportStatus) => set({ reportStatus })}
        hint="Posts plans of merge requests and the results of rollouts"
      />
      <ChoiceInput<ForgeKind | 'guess'>
        label="Kind of host"
        name="forge"
        value={fields.forgeKind}
        onChange={(forgeKind) => set({ forgeKind })}
        options={[
          { value: 'guess', label: 'By its address' },
          { value: 'gitlab', label: 'GitLab' },
          { value: 'github', label: 'GitHub' },
          { value: 'gitea', label: 'Gitea' },
          { value: 'forgejo', label: 'Forgejo' },
        ]}
      />
      {fields.forgeKind !== 'guess' && (
        <TextInput
          label="Address of its API"
          name="forge/apiUrl"
          value={fields.apiUrl}
          onChange={(apiUrl) => set({ apiUrl })}
          hint="Only where it is not at the host's usual address"
        />
      )}
      <ChoiceInput
        label="Token for its API"
        name="apiTokenKind"
        value={fields.apiTokenKind}
        onChange={(apiTokenKind) => set({ apiTokenKind })}
        options={apiToken === null ? API_TOKEN_KINDS : [{ value: 'keep', label: `Keep: ${apiToken}` } as const, ...API_TOKEN_KINDS]}
      />
      {fields.apiTokenKind === 'new' && (
        <TextInput
          label="API token"
          name="apiToken"
          type="password"
          required
          value={fields.apiToken}
          onChange={(next) => set({ apiToken: next })}
        />
      )}
    </Group>
  );
}

import { ApiError } from '../../../api/client.ts';
import type { Source, SourceChange } from '../../../generated/api.ts';
import { type AuthFields, authOf } from './credentials.tsx';
import { type WebhookFields, webhookOf } from './webhook-inputs.tsx';

export type ForgeKind = NonNullable<Source['forge']>['kind'];

export type SettingsFields = {
  name: string;
  url: string;
  ref: string;
  layout: Source['layout'];
  poll: string;
  allOrNothing: boolean;
  driftPolicy: Source['driftPolicy'];
  policyFrom: Source['policyFrom'];
  policy: string;
  reportStatus: boolean;
  auth: AuthFields;
  webhook: WebhookFields;
  forgeKind: ForgeKind | 'guess';
  apiUrl: string;
  /** `keep`, `none` or `new`. */
  apiTokenKind: 'keep' | 'none' | 'new';
  apiToken: string;
};

export function fieldsOf(source: Source): SettingsFields {
  const { name, url, ref, layout, allOrNothing, driftPolicy, policyFrom, reportStatus } = source;
  return {
    ...{ name, url, ref, layout, allOrNothing, driftPolicy, policyFrom, reportStatus },
    poll: String(source.pollIntervalSeconds),
    policy: JSON.stringify(source.rolloutPolicy, null, 2),
    auth: { kind: source.auth === null ? 'none' : 'keep', token: '', username: '', password: '' },
    webhook: { provider: source.webhook === null ? '' : 'keep', secret: '' },
    forgeKind: source.forge?.kind ?? 'guess',
    apiUrl: source.forge?.apiUrl ?? '',
    apiTokenKind: source.apiToken === null ? 'none' : 'keep',
    apiToken: '',
  };
}

/** Only what differs is sent, so that two people who change different fields do not undo each other. @throws ApiError for a policy that is no JSON */
export function changeOf(source: Source, fields: SettingsFields): SourceChange {
  const { policy, poll, auth, webhook, forgeKind, apiUrl, apiTokenKind, apiToken, ...plain } = fields;
  const before = fieldsOf(source);
  const changed = Object.fromEntries(Object.entries(plain).filter(([name, value]) => before[name as keyof typeof plain] !== value));
  const credentials = authOf(auth);
  const hook = webhookOf(webhook);
  const forge = forgeKind === 'guess' ? null : { kind: forgeKind, ...(apiUrl === '' ? {} : { apiUrl }) };
  return {
    ...changed,
    ...(poll === before.poll ? {} : { pollIntervalSeconds: Number(poll) }),
    ...(policy === before.policy ? {} : { rolloutPolicy: policyFrom(policy) }),
    ...(credentials === undefined || (credentials === null && source.auth === null) ? {} : { auth: credentials }),
    ...(hook === undefined || (hook === null && source.webhook === null) ? {} : { webhook: hook }),
    ...(forgeKind === before.forgeKind && apiUrl === before.apiUrl ? {} : { forge }),
    ...(apiTokenKind === before.apiTokenKind ? {} : { apiToken: apiTokenKind === 'new' ? apiToken : null }),
  };
}

function policyFrom(text: string): NonNullable<SourceChange['rolloutPolicy']> {
  try {
    return JSON.parse(text.trim() === '' ? '{}' : text);
  } catch (error) {
    const detail = `is no JSON: ${error instanceof Error ? error.message : error}`;
    throw new ApiError(400, 'malformed_json', `Cannot save the rollout policy: it ${detail}`, [{ pointer: '/rolloutPolicy', detail }]);
  }
}

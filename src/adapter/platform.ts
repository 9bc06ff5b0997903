import { syntaxOf } from '../document/document.ts';
import { parseDocument } from '../document/parse.ts';
import { integrationProblem } from '../integration/problems.ts';
import type { DocumentTraits, Provider, PushConfiguration } from '../integration/provider.ts';
import { defaultRevisionLimits } from '../revision/limits.ts';
import { issueText } from '../wire/names.ts';
import type { Json } from '../wire/text/json.ts';
import type { Bundle, Delivery, OpenedPush, PushAdapter } from './adapter.ts';
import type { Leases } from './leases.ts';

/** Delivers through the platform to which the device is assigned. */
export function createPlatformAdapter({ kind, document, abilities }: Provider, leases: Leases): PushAdapter {
  return {
    name: kind,
    delivery: 'push',
    provesContact: !abilities.list,
    needsAssignment: true,
    commands: abilities.execute ? 'platform' : 'none',
    open: async (delivery) => {
      if (delivery.place === null)
        throw integrationProblem(
          'integration_unassigned',
          `Cannot deliver to device "${delivery.deviceId}": it is assigned to no integration of type "${kind}"; assign it to one first`,
        );
      return openPush(delivery, delivery.place, document, leases);
    },
  };
}

async function openPush(
  delivery: Delivery,
  { integrationId, externalId }: NonNullable<Delivery['place']>,
  document: DocumentTraits | null,
  leases: Leases,
): Promise<OpenedPush> {
  const { platform, integration, release } = await leases.take(integrationId);
  const { push } = platform;
  if (push === undefined) {
    release();
    throw integrationProblem(
      'integration_unsupported',
      `Cannot deliver through integration "${integration.name}": it takes no configuration`,
    );
  }
  const { organizationId, deviceId } = delivery;
  const target = { organizationId, deviceId, externalId };
  return {
    prepare: async (signal) => push.prepare(target, await configurationOf(delivery, document), signal),
    apply: (prepared, token, signal) => push.apply(target, prepared, token, signal),
    verify: (prepared, receipt, token, signal) => push.verify(target, prepared, receipt, token, signal),
    ...(push.confirm === undefined
      ? {}
      : {
          confirm: async (prepared, receipt, signal) => push.confirm?.(target, prepared, receipt, signal),
        }),
    cancel: (prepared, receipt, signal) => push.cancel(target, prepared, receipt, signal),
    close: release,
  };
}

async function configurationOf(delivery: Delivery, traits: DocumentTraits | null): Promise<PushConfiguration> {
  const bundle = await delivery.loadBundle(delivery.digest);
  const files = bundle.manifest.files.map(({ path, size, sha256 }) => ({ path, size, sha256 }));
  const document = traits === null ? undefined : await documentOf(bundle, traits);
  return { digest: delivery.digest, document, files, readFile: bundle.readFile };
}

/** @returns undefined when the bundle has no such file @throws Problem `integration_rejected`, with the file and line */
async function documentOf({ manifest, readFile }: Bundle, { names, schema }: DocumentTraits): Promise<Json | undefined> {
  const file = names.flatMap((name) => manifest.files.find(({ path }) => path === name) ?? [])[0];
  if (file === undefined) return undefined;
  const { maxDocumentDepth, maxYamlExpandedChars } = defaultRevisionLimits;
  const limits = { maxDocumentDepth, maxYamlExpandedChars };
  const refuse = (line: number | undefined, detail: string) =>
    integrationProblem('integration_rejected', `Cannot use ${file.path}${line === undefined ? '' : `:${line}`}: ${detail}`);
  const parsed = parseDocument(await readFile(file.sha256), syntaxOf(file.path) ?? 'yaml', limits);
  if (!parsed.ok) throw refuse(parsed.fault.line, parsed.fault.detail);
  const checked = schema.safeParse(parsed.document.value);
  if (checked.success) return checked.data as Json;
  const [issue] = checked.error.issues;
  if (issue === undefined) throw refuse(undefined, 'it does not fit its schema');
  const path = issue.path.map(String);
  throw refuse(parsed.document.lineOf(path), `/${path.join('/')} ${issueText(issue)}`);
}

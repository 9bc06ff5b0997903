import { z } from 'zod';
import { Count, changed, failure, Id, Text } from './fields.ts';
import { kind } from './kind.ts';

const Status = z.enum(['new', 'ok', 'partial', 'invalid', 'empty', 'ref_missing', 'waiting', 'failing']);
const Verdict = z.enum(['valid', 'partial', 'invalid']);
const held = { by: Text, reason: Text };

const revision = {
  revisionId: Id,
  commit: Text,
  author: Text,
  verdict: Verdict,
  pathsChanged: Count,
  pathsInvalid: Count,
  /** The first few messages. */
  errors: z.array(Text),
};

/** Events of a source: its settings, checks, webhook, commits and merge requests. A site has some too, because it is held like a source. */
export const SOURCE_EVENTS = {
  'source.created': kind('info', 'was created', { name: Text, url: Text }),
  'source.changed': kind('info', 'was changed', changed),
  'source.deleted': kind('info', 'was deleted', { name: Text }),
  'source.synced': kind('info', 'is {status}', { status: Status, commit: Text.nullable() }),
  'source.failed': kind({ otherwise: 'warning', field: 'status', raised: { failing: 'error' } }, 'cannot be read', {
    status: Status,
    ...failure,
    nextCheckInSeconds: Count,
  }),
  'source.webhook_installed': kind('info', 'has its webhook at the git host', {
    installed: z.enum(['created', 'updated', 'unchanged']),
    provider: Text,
    settingsUrl: Text,
  }),
  'source.held': kind('warning', 'is held', { ...held, revisionId: Id.optional() }),
  'source.released': kind('info', 'is no longer held', { by: Text, reason: Text.optional() }),
  'site.created': kind('info', 'was created', { name: Text }),
  'site.renamed': kind('info', 'is renamed; its name was {from}', { from: Text, name: Text }),
  'site.deleted': kind('info', 'was deleted', { name: Text }),
  'site.held': kind('warning', 'is held', held),
  'site.released': kind('info', 'is no longer held', { by: Text }),
  'revision.prepared': kind('info', 'is valid', revision),
  'revision.rejected': kind({ otherwise: 'warning', field: 'verdict', raised: { invalid: 'error' } }, 'is {verdict}', revision),
  'merge_request.planned': kind({ otherwise: 'info', field: 'verdict', raised: { invalid: 'warning', error: 'warning' } }, 'was planned', {
    number: Count,
    commit: Text.nullable(),
    verdict: z.enum(['valid', 'partial', 'invalid', 'error']).nullable(),
    detail: Text.nullable(),
  }),
  'merge_request.not_posted': kind('warning', 'did not get its plan posted', { number: Count, ...failure }),
  'hook.received': kind('info', 'had a webhook about {ref}', {
    provider: Text,
    ref: Text.nullable(),
    commit: Text.nullable(),
    deliveryId: Text,
    pusher: Text.optional(),
    redelivered: z.boolean().optional(),
  }),
};

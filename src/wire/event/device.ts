import { z } from 'zod';
import { Count, changed, failure, Id, shown, Text, Time } from './fields.ts';
import { kind } from './kind.ts';

const DriftState = z.enum(['empty', 'clean', 'drifted']);
const Changes = z.array(z.object({ path: Text, kind: z.enum(['added', 'changed', 'missing']) }));
/** The sender of an enrolment: a short form of the machine's id, and the address of the request. */
const sender = { machine: Text.nullable(), address: Text };

/** Events of a device, and of the workspace that shows its files at the service. */
export const DEVICE_EVENTS = {
  'device.registered': kind(
    'info',
    'was registered',
    { name: Text, type: Text, sourceId: Id.nullable(), path: Text.nullable(), ...shown },
    'subject',
  ),
  'device.changed': kind('info', 'was changed', changed),
  'device.deleted': kind('info', 'was deleted', { name: Text, ...shown }, 'subject'),
  'device.started': kind('info', 'follows its source', shown, 'subject'),
  'device.stopped': kind('info', 'no longer follows its source', shown, 'subject'),
  'device.status': kind(
    { otherwise: 'info', field: 'status', raised: { OFFLINE: 'warning', ERROR: 'error' } },
    'is {status}',
    { ...shown, previous: shown.syncStatus.optional(), lastSeenAt: Time.nullable().optional() },
    'subject',
  ),
  'device.held': kind('info', 'is held', shown, 'subject'),
  'device.released': kind('info', 'is no longer held', { ...shown, reason: Text.optional(), revisionId: Id.optional() }, 'subject'),
  'device.drifted': kind('warning', 'does not run its desired bundle', { desired: Text.nullable(), reported: Text.nullable() }, 'subject'),
  'device.key_rotated': kind('info', 'has a new key', { oldKeysExpireInSeconds: Count }),
  'device.reenrolment_requested': kind('warning', 'asks to be enrolled again', {
    detail: Text,
    ...sender,
    lastSeenAt: Time.nullable(),
  }),
  'device.reenrolment_allowed': kind('info', 'may enrol again', shown),
  'device.reenrolment_refused': kind('info', 'may not enrol again', shown),
  'device.reenrolled': kind('info', 'was enrolled again and has a new key', { allowedBy: Text, ...sender }),
  'device.cloned': kind('warning', 'has a copy', {
    detail: Text,
    agents: z.array(z.object({ instance: Text, address: Text })),
  }),
  'device.clone_ended': kind('info', 'has no copy any more', {}),
  'device.moved': kind('info', 'follows its folder to {to}', { sourceId: Id, from: Text, to: Text, commit: Text }),
  'device.folder_gone': kind('warning', 'has no folder any more', {
    sourceId: Id,
    path: Text,
    folders: z.array(Text),
    commit: Text,
    detail: Text,
  }),
  // Their subject is an integration, since a page of its devices is one event.
  'device.imported': kind('info', 'has new devices', { name: Text, deviceIds: z.array(Text) }),
  'device.archived': kind('warning', 'has lost devices, which are archived', { name: Text, deviceIds: z.array(Text) }),
  'device.restored': kind('info', 'has archived devices again', { name: Text, deviceIds: z.array(Text) }),
  'workspace.drifted': kind('warning', 'has a workspace that was changed by hand', { state: DriftState, changed: Changes }),
  'workspace.healed': kind('info', 'had its workspace restored', { changed: Changes }),
  'workspace.failed': kind('error', 'has a workspace that cannot follow it', failure),
  'workspace.recovered': kind('info', 'has a workspace that follows it again', {}),
};

import { z } from 'zod';
import { Count, changed, failure, Text } from './fields.ts';
import { kind } from './kind.ts';

const name = { name: Text };
/** Background work that concerns devices. */
const Queue = z.enum(['deployment', 'workspace']);

/** Events of the service itself: notifications, jobs, and whether it watches devices. */
export const SERVICE_EVENTS = {
  'notification.created': kind('info', 'was created', name),
  'notification.changed': kind('info', 'was changed', { ...name, ...changed }),
  'notification.deleted': kind('info', 'was deleted', name),
  'notification.failing': kind('warning', 'cannot be delivered', { ...name, failures: Count, lastError: Text }),
  'notification.recovered': kind('info', 'is delivered again', { ...name, failures: Count }),
  'notification.disabled': kind('error', 'was disabled', { ...name, reason: Text }),
  'notification.test': kind('info', 'works', name),
  'job.failing': kind('error', 'has work of the service that keeps failing ({queue})', { queue: Queue, ...failure }),
  'job.recovered': kind('info', 'has work of the service that succeeds again ({queue})', { queue: Queue }),
  'service.watching': kind('info', 'watches devices', { deviceIds: z.array(Text) }, 'deviceIds'),
  'service.not_watching': kind('warning', 'no longer watches devices', { deviceIds: z.array(Text) }, 'deviceIds'),
};

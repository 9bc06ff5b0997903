import { onTestFinished } from 'vitest';
import type { VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import type { Platform } from '../../src/integration/provider.ts';
import { openSubject, type Subject } from './subject.ts';

/** Opens the vendor's server and the platform for one test. */
export async function openScene<Server extends VendorServer>(
  subject: Subject<Server>,
  options: { timeoutMs?: number } = {},
): Promise<{ server: Server; platform: Platform }> {
  const server = await subject.start();
  const platform = openSubject(subject, server, options.timeoutMs);
  onTestFinished(async () => {
    await platform.close?.();
    await server.close();
  });
  return { server, platform };
}

/** Adds devices to the account. @returns their ids */
export function addDevices(server: VendorServer, count: number): string[] {
  return Array.from({ length: count }, (_, n) => server.addDevice({ name: `till-${n}` }));
}

/** The ability, which the flags of the provider promise. */
export function able<T>(method: T | undefined): T {
  if (method === undefined) throw new Error('the provider names an ability that its platform lacks');
  return method;
}

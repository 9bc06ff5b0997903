import { openPlatform } from '../../src/integration/open.ts';
import { syncIntegration } from '../../src/sync/run.ts';
import type { Controller } from '../context.ts';

/** Syncs an integration, unless the service runs without integrations. */
export async function reconcileIntegration({ store, log, platforms, metrics }: Controller, id: string, ending: AbortSignal): Promise<void> {
  if (platforms.isOff) return;
  await syncIntegration(
    {
      ...{ store, log, providers: platforms.providers, onRun: metrics.integrationRun },
      open: (integration) => openPlatform(integration, platforms),
    },
    id,
    ending,
  );
}

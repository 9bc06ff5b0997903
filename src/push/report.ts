import type { DuePush } from '../adapter/pushes-store.ts';
import type { Store } from '../event/transact.ts';
import { newId } from '../ids.ts';
import { type DeliveryNote, ingestReports } from '../report/ingest.ts';
import type { DeviceDeploymentState, Report } from '../wire/agent.ts';

export type DeliveryStep = { state: DeviceDeploymentState; code?: string; detail?: string };

/** Reports steps of a delivery as reports of the agent protocol, so that one code path moves every deployment. */
export async function reportDelivery(store: Store, due: DuePush, steps: readonly DeliveryStep[], note: DeliveryNote): Promise<void> {
  const reports = steps.map(
    ({ state, code, detail }): Report => ({
      id: newId(),
      at: new Date().toISOString(),
      kind: 'deployment',
      deploymentId: due.deploymentId,
      state,
      runningDigest: state === 'succeeded' ? due.bundle : due.previous,
      code,
      detail,
    }),
  );
  await ingestReports(store, due.organizationId, [{ deviceId: due.deviceId, reports, delivery: note }]);
}

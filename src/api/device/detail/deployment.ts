import { createRoute, z } from '@hono/zod-openapi';
import { type Deployment, deploymentsById } from '../../../deployment/store.ts';
import { listLogLines } from '../../../device/store/logs.ts';
import { notFound } from '../../../errors.ts';
import type { Store } from '../../../event/transact.ts';
import { json, problems } from '../../../http/kit.ts';
import { DEPLOYMENT_STATES } from '../../../wire/deployment.ts';
import { mount, operation, role } from '../../env.ts';
import { DeviceParams, findDevice } from '../find.ts';
import { DeploymentView, LogLineView, viewDeployment, viewLogLine } from '../schemas.ts';

type Deps = { store: Store };

/** One attempt to change a device. */
export const deviceDeploymentRoutes = (deps: Deps) => mount(show(deps));

const Step = z.object({
  state: z.enum(DEPLOYMENT_STATES),
  at: z.iso.datetime(),
  durationMs: z.number().int().nullable().openapi({ description: 'null: it lasts, or it is the last one' }),
});
const Detail = DeploymentView.extend({
  steps: z.array(Step).openapi({ description: 'The states that it reached, by time' }),
  logs: z.array(LogLineView).openapi({ description: 'Its log lines that the service still keeps, oldest first' }),
}).openapi('DeploymentDetail');

/** More lines than the service keeps of a device. */
const LINES = 1_000;

const show = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}/deployments/{deploymentId}',
      tags: ['Devices'],
      middleware: [role('viewer')] as const,
      request: { params: DeviceParams.extend({ deploymentId: z.uuid() }) },
      responses: { 200: json(Detail, 'The deployment with its steps and log lines'), ...problems },
    }),
    async (c) => {
      const { id, deploymentId } = c.req.valid('param');
      const { organizationId } = await findDevice(sql, c.get('actor').organizationId, id);
      const deployment = (await deploymentsById(sql, organizationId, [deploymentId])).get(deploymentId);
      if (deployment === undefined || deployment.deviceId !== id) throw notFound('deployment', deploymentId);
      const lines = await listLogLines(
        sql,
        { organizationId, deviceId: id },
        { deploymentId },
        { place: null, newestFirst: false, limit: LINES },
      );
      return c.json({ ...viewDeployment(deployment), steps: stepsOf(deployment), logs: lines.map(viewLogLine) }, 200);
    },
  );

function stepsOf({ state, createdAt, deliveringAt, applyingAt, confirmingAt, finishedAt }: Deployment): z.output<typeof Step>[] {
  const reached = [
    { state: 'queued' as const, at: createdAt },
    { state: 'delivering' as const, at: deliveringAt },
    { state: 'applying' as const, at: applyingAt },
    { state: 'confirming' as const, at: confirmingAt },
    { state, at: finishedAt },
  ].flatMap((step) => (step.at === null ? [] : [{ state: step.state, at: step.at }]));
  return reached.map((step, index) => {
    const next = reached[index + 1];
    return { state: step.state, at: step.at.toISOString(), durationMs: next === undefined ? null : next.at.getTime() - step.at.getTime() };
  });
}

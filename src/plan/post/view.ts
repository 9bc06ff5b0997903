import type { Plan } from '../compute.ts';

/** A plan as the API returns it and as `render.ts` prints it: see `PlanSchema`. */
export type PlanView = Omit<Plan, 'blockers' | 'devices'> & {
  blockers: { code: string; detail: string; until: string | null }[];
  devices: (Plan['devices'][number] & { waveName: string | null })[];
};

export function viewPlan(plan: Plan): PlanView {
  return {
    ...plan,
    blockers: plan.blockers.map(({ until, ...blocker }) => ({ ...blocker, until: until?.toISOString() ?? null })),
    devices: plan.devices.map((device) => ({ ...device, waveName: device.wave === null ? null : (plan.waves[device.wave]?.name ?? null) })),
  };
}

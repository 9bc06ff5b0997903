import type { Device } from '../device/device.ts';
import { changeFields } from '../device/store/shadows.ts';
import { invalid } from '../errors.ts';
import type { Unit } from '../event/transact.ts';
import { fieldsOf, type Values } from '../integration/provider.ts';
import type { Providers } from '../integration/registry.ts';
import { assignmentsOfDevice, markDue } from '../integration/store/assignments.ts';
import { integrationById } from '../integration/store/services.ts';
import { checkAttributes, rulesOf } from './fields.ts';

type Edit = { name?: string | undefined; type?: string | undefined; attributes?: Values | undefined };

/**
 * Records a person's change of synced fields with its time, and has the next sync write them to the platforms. The caller holds the device's lock.
 * @throws Problem `invalid_request` for attributes that no integration of the device carries to its platform
 */
export async function editFields(unit: Unit, providers: Providers, device: Device, { name, type, attributes = {} }: Edit): Promise<void> {
  const { tx, enqueue } = unit;
  const { organizationId, id } = device;
  const edit = {
    id,
    ...(name !== undefined && name !== device.name && { name }),
    ...(type !== undefined && type !== device.type && { type }),
    attributes,
  };
  const fields = [...Object.keys(edit).filter((field) => field === 'name' || field === 'type'), ...Object.keys(attributes)];
  if (fields.length === 0) return;
  const assignments = await assignmentsOfDevice(tx, organizationId, id);
  const [only] = assignments;
  if (only === undefined && Object.keys(attributes).length > 0) {
    const detail = 'must be left out: no integration syncs the device';
    throw invalid(`Cannot change device "${id}": /attributes ${detail}`, [{ pointer: '/attributes', detail }]);
  }
  await changeFields(tx, organizationId, [edit]);
  for (const { serviceId } of assignments) {
    const integration = await integrationById(tx, serviceId);
    if (integration === undefined) continue;
    const rules = rulesOf(integration, fieldsOf(providers.of(integration.type), integration.settings));
    if (serviceId === only?.serviceId) checkAttributes(rules, attributes, integration.slug);
    const { isActive, autoSync, blockedReason } = integration;
    if (!isActive || !autoSync || blockedReason !== null) continue;
    if (!fields.some((field) => (rules.get(field)?.direction ?? 'import') !== 'import')) continue;
    await markDue(tx, integration, id);
    enqueue('integration', serviceId);
  }
}

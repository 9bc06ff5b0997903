import { conflict } from '../errors.ts';
import type { Unit } from '../event/transact.ts';
import { setDeviceSync } from '../organization/store.ts';
import { eventOf, type Integration, MAX_PER_ORGANIZATION } from './integration.ts';
import { integrationProblem } from './problems.ts';
import {
  countIntegrations,
  deleteIntegration,
  insertIntegration,
  lockIntegrationsOf,
  type NewIntegration,
  type SealedCredentials,
  type SealedHookSecret,
  setPrimary,
} from './store/services.ts';

type Writing = Pick<Unit, 'tx' | 'emit'>;

/**
 * Creates an integration, with a slug of its own. The first one of an organization becomes its primary and switches syncing on, since the removal of
 * the last one before it had switched syncing off.
 * @throws Problem `too_many`
 */
export async function createIntegration(
  { tx, emit, enqueue }: Writing & Pick<Unit, 'enqueue'>,
  wanted: NewIntegration & SealedCredentials & SealedHookSecret,
): Promise<Integration> {
  const { organizationId } = wanted;
  await lockIntegrationsOf(tx, organizationId);
  const count = await countIntegrations(tx, organizationId);
  if (count >= MAX_PER_ORGANIZATION)
    throw conflict('too_many', `Cannot create another integration: the organization has ${MAX_PER_ORGANIZATION}, which is the most`);
  const created = await insertIntegration(tx, wanted);
  emit(eventOf(created, 'integration.created', { name: created.name, type: created.type }));
  if (count === 0) await switchSyncing({ tx, emit }, organizationId, true);
  if (created.isActive && created.autoSync) enqueue('integration', created.id);
  return created;
}

/**
 * Removes an integration. The oldest one left becomes the primary in its place. Without any left, syncing is switched off. The caller holds
 * `lockIntegrationsOf` and the row.
 * @throws Problem `integration_primary`
 */
export async function removeIntegration({ tx, emit }: Writing, integration: Integration, isForced: boolean): Promise<void> {
  const { organizationId, name, isPrimary } = integration;
  if (!isForced && isPrimary && (await countIntegrations(tx, organizationId)) === 1)
    throw integrationProblem(
      'integration_primary',
      `Cannot remove integration "${name}": it is the primary, and the only one; add another one first, or remove it by force`,
    );
  const next = await deleteIntegration(tx, integration);
  emit(eventOf(integration, 'integration.deleted', { name }));
  if (next === undefined) return switchSyncing({ tx, emit }, organizationId, false);
  if (isPrimary) await makePrimary({ tx, emit }, next);
}

/** Makes it the primary in the place of the present one. */
export async function makePrimary({ tx, emit }: Writing, integration: Integration): Promise<void> {
  if (await setPrimary(tx, integration)) emit(eventOf(integration, 'integration.primary_changed', { name: integration.name }));
}

/** Turns the master switch. Off stops every sync of the organization and removes nothing. */
export async function switchSyncing({ tx, emit }: Writing, organizationId: string, isEnabled: boolean): Promise<void> {
  if (!(await setDeviceSync(tx, organizationId, isEnabled))) return;
  const type = isEnabled ? 'integrations.enabled' : 'integrations.disabled';
  emit({ organizationId, type, subject: 'integration:all', data: {} });
}

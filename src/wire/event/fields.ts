import { z } from 'zod';

/** Parts that the data of several events share. */

export const Id = z.guid();
export const Text = z.string();
export const Time = z.iso.datetime();
export const Count = z.number().int().nonnegative();

/** Names of the settings that changed. */
export const changed = { fields: z.array(z.string()) };
/** Why something failed. */
export const failure = { code: z.string(), detail: z.string() };

const SyncStatus = z.enum(['unmanaged', 'in_sync', 'pending', 'updating', 'failed', 'rolled_back', 'drifted', 'held']);
const Connectivity = z.enum(['online', 'offline', 'unknown']);
const ShownStatus = z.enum(['ONLINE', 'OFFLINE', 'ERROR', 'UPDATING']);

/** How a device is shown: one word for dashboards, and the two states that it is made of. */
export const shown = { status: ShownStatus, syncStatus: SyncStatus, connectivity: Connectivity };

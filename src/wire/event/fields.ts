import { z } from 'zod';

/** Parts that the data of several events share. */

export const Id = z.guid();
export const Text = z.string();
export const Time = z.iso.datetime();
export const Count = z.number().int().nonnegative();

/** Names of the settings that changed. */
export const changed = { fields: z.array(z.string()) };
/** The reason of a failure. */
export const failure = { code: z.string(), detail: z.string() };

const SyncStatus = z.enum(['unmanaged', 'in_sync', 'unverified', 'pending', 'updating', 'failed', 'rolled_back', 'drifted', 'held']);
const Connectivity = z.enum(['online', 'offline', 'unknown']);
const ShownStatus = z.enum(['ONLINE', 'OFFLINE', 'ERROR', 'UPDATING']);

/** The status of a device: one word for dashboards, and the two states from which it derives. */
export const shown = { status: ShownStatus, syncStatus: SyncStatus, connectivity: Connectivity };

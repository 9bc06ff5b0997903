import { hashToken, last4, mintToken } from '../crypto/tokens.ts';
import { usualFolder } from '../device/folders.ts';
import { insertDeviceKeys } from '../device/store/keys.ts';
import { insertDevices, type NewDevice } from '../device/store.ts';
import { Problem } from '../errors.ts';
import type { Unit } from '../event/transact.ts';
import { convergeDevices } from '../rollout/converge.ts';
import type { FieldError } from '../wire/problem.ts';
import type { Row, WantedDevice } from './import-rows.ts';
import { folderPaths, type Layouts, siteIds, sourceLayouts } from './import-store.ts';
import { RESERVED_IDS } from './register.ts';

export type RefusedRow = { row: number; errors: FieldError[] };
export type ImportMode = 'partial' | 'atomic';
export type Imported = { devices: { row: number; id: string; apiKey: string }[]; refused: RefusedRow[] };

/** No device was registered, since some rows are refused. */
export class ImportRefused extends Problem {
  readonly refused: RefusedRow[];

  constructor(refused: RefusedRow[], rows: number) {
    super('import_refused', `Cannot import ${rows} devices: ${refused.length} rows are refused, must be 0 with mode=atomic`);
    this.refused = refused;
  }
}

type Wanted = { row: number; device: WantedDevice };
type Rows = { accepted: Wanted[]; refused: RefusedRow[] };

/**
 * Registers all valid rows in a fixed number of statements. It returns devices and keys in the order of the rows.
 * @throws ImportRefused in mode `atomic` when a row is refused; the transaction must then be rolled back
 */
export async function importDevices(
  unit: Unit,
  organizationId: string,
  rows: readonly Row[],
  options: { mode: ImportMode; adapters: readonly string[] },
): Promise<Imported> {
  const here = sortOut(rows, options.adapters);
  const layouts = await sourceLayouts(unit.tx, organizationId);
  const sites = await siteIds(unit.tx, organizationId);
  const bound = refuse(here, ({ device }) => [
    ...(device.sourceId === null || layouts.has(device.sourceId) ? [] : [{ pointer: '/sourceId', detail: 'no such source' }]),
    ...(device.siteId === null || sites.has(device.siteId) ? [] : [{ pointer: '/siteId', detail: 'no such site' }]),
  ]);
  const folders = await folderPaths(
    unit.tx,
    organizationId,
    bound.accepted.map(({ device }) => device).filter(({ path }) => (path ?? null) === null),
  );
  const devices = bound.accepted.map(({ device }): NewDevice => {
    const { start, sourceId, path, ...rest } = device;
    const chosen = path ?? defaultPath(device, layouts, folders);
    return { ...rest, organizationId, sourceId, path: chosen, following: start && sourceId !== null };
  });
  const inserted = await insertDevices(unit.tx, organizationId, devices);
  const { accepted, refused } = refuse(bound, ({ device }) =>
    inserted.has(device.id) ? [] : [{ pointer: '/id', detail: 'a device of that id exists' }],
  );
  refused.sort((a, b) => a.row - b.row);
  if (options.mode === 'atomic' && refused.length > 0) throw new ImportRefused(refused, rows.length);
  const registered = devices.filter(({ id }) => inserted.has(id));
  const keys = await mintKeys(unit, organizationId, registered);
  await announce(unit, organizationId, registered);
  return { devices: accepted.map(({ row, device: { id } }) => ({ row, id, apiKey: keys.get(id) ?? '' })), refused };
}

/** Checks the rows without the database. It also refuses a row whose id an earlier row has. */
function sortOut(rows: readonly Row[], adapters: readonly string[]): Rows {
  const [accepted, refused]: [Wanted[], RefusedRow[]] = [[], []];
  for (const row of rows) {
    if ('errors' in row) refused.push(row);
    else accepted.push(row);
  }
  const rowById = new Map<string, number>();
  for (const { row, device } of accepted) if (!rowById.has(device.id)) rowById.set(device.id, row);
  return refuse({ accepted, refused }, ({ row, device: { id, adapter } }) => [
    ...(RESERVED_IDS.has(id) ? [{ pointer: '/id', detail: 'is reserved' }] : []),
    ...(rowById.get(id) === row ? [] : [{ pointer: '/id', detail: `is also the id of row ${rowById.get(id)}` }]),
    ...(adapters.includes(adapter) ? [] : [{ pointer: '/adapter', detail: `must be one of ${adapters.join(', ')}` }]),
  ]);
}

function refuse({ accepted, refused }: Rows, errorsOf: (wanted: Wanted) => FieldError[]): Rows {
  const next: Rows = { accepted: [], refused: [...refused] };
  for (const wanted of accepted) {
    const errors = errorsOf(wanted);
    if (errors.length === 0) next.accepted.push(wanted);
    else next.refused.push({ row: wanted.row, errors });
  }
  return next;
}

/** The same rule as `defaultPath` of register.ts, with data that was read for all rows. */
function defaultPath({ id, sourceId }: WantedDevice, layouts: Layouts, folders: ReadonlyMap<string, string[]>): string | null {
  if (sourceId === null) return null;
  const source = layouts.get(sourceId);
  if (source?.layout === 'repo') return '';
  return usualFolder(id, folders.get(`${sourceId} ${id}`) ?? [], source?.patterns ?? []);
}

async function mintKeys({ tx }: Unit, organizationId: string, devices: readonly NewDevice[]): Promise<ReadonlyMap<string, string>> {
  const keys = devices.map(({ id }) => ({ deviceId: id, apiKey: mintToken('device') }));
  const rows = keys.map(({ deviceId, apiKey }) => ({ deviceId, hash: hashToken(apiKey), last4: last4(apiKey) }));
  await insertDeviceKeys(tx, organizationId, rows);
  return new Map(keys.map(({ deviceId, apiKey }) => [deviceId, apiKey]));
}

/** Emits the events, and starts the first deployments of devices whose folder is known. */
async function announce(unit: Unit, organizationId: string, devices: readonly NewDevice[]): Promise<void> {
  for (const { id, name, type, sourceId, path } of devices) {
    const states = { syncStatus: 'unmanaged', connectivity: 'unknown', status: 'OFFLINE' } as const;
    unit.emit({ organizationId, type: 'device.registered', subject: `device:${id}`, data: { name, type, sourceId, path, ...states } });
  }
  const following = Map.groupBy(
    devices.filter((device) => device.following),
    (device) => device.sourceId,
  );
  for (const [sourceId, bound] of following)
    if (sourceId !== null)
      await convergeDevices(
        unit,
        organizationId,
        sourceId,
        bound.map(({ id }) => id),
      );
}

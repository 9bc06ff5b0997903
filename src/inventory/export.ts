import type { Device } from '../device/device.ts';
import { csvField } from '../wire/text/csv.ts';

export const DEVICE_EXPORT_FORMATS = { csv: 'text/csv; charset=utf-8', jsonl: 'application/x-ndjson' } as const;
export type DeviceExportFormat = keyof typeof DEVICE_EXPORT_FORMATS;

const FIELDS = ['id', 'name', 'type', 'siteId', 'adapter', 'sourceId', 'path', 'simulated', 'start'] as const;

type Exported = Pick<Device, 'id' | 'name' | 'type' | 'siteId' | 'adapter' | 'sourceId' | 'path' | 'simulated' | 'following' | 'labels'>;

/** The device as the import takes it. */
function importable({ id, name, type, siteId, adapter, sourceId, path, simulated, following, labels }: Exported) {
  return { id, name, type, siteId, adapter, sourceId, path, simulated, start: following, labels };
}

/** The first line of the export: names of columns, with one for each key of the labels. JSON lines have none. */
export function exportHead(format: DeviceExportFormat, labelKeys: readonly string[]): string {
  if (format === 'jsonl') return '';
  return `${[...FIELDS, ...labelKeys.map((key) => `label.${key}`)].map(csvField).join(',')}\r\n`;
}

/** One line of the export, in the form that the import of devices takes. */
export function exportLine(format: DeviceExportFormat, labelKeys: readonly string[], device: Exported): string {
  const { labels, ...fields } = importable(device);
  if (format === 'jsonl') return `${JSON.stringify({ ...fields, labels })}\n`;
  const cells = [...FIELDS.map((name) => fields[name]), ...labelKeys.map((key) => labels[key])];
  return `${cells.map((cell) => csvField(String(cell ?? ''))).join(',')}\r\n`;
}

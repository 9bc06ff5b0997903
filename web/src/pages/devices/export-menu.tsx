import { Button, DropdownMenu } from '@radix-ui/themes';
import { Download } from 'lucide-react';
import { addressOf } from '../../api/client.ts';
import type { DeviceFilter } from './query.ts';

/** Downloads the devices of the filter, as the import takes them. */
export function ExportMenu({ filter }: { filter: DeviceFilter }) {
  const address = (format: 'csv' | 'jsonl') => addressOf('GET /api/v1/devices:export', { query: { ...filter, format } });
  return (
    <DropdownMenu.Root>
      <DropdownMenu.Trigger>
        <Button variant="surface" color="gray">
          <Download size={14} aria-hidden /> Export
        </Button>
      </DropdownMenu.Trigger>
      <DropdownMenu.Content>
        <DropdownMenu.Item asChild>
          <a href={address('csv')} download="devices.csv">
            CSV
          </a>
        </DropdownMenu.Item>
        <DropdownMenu.Item asChild>
          <a href={address('jsonl')} download="devices.jsonl">
            JSON lines
          </a>
        </DropdownMenu.Item>
      </DropdownMenu.Content>
    </DropdownMenu.Root>
  );
}

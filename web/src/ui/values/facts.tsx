import { DataList } from '@radix-ui/themes';
import type { ReactNode } from 'react';

/** Names and values; a value of undefined is left out. */
export function Facts({ facts }: { facts: readonly (readonly [name: ReactNode, value: ReactNode])[] }) {
  return (
    <DataList.Root size="2" trim="both" className="facts">
      {facts
        .filter(([, value]) => value !== undefined && value !== false)
        .map(([name, value], at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: facts keep their order
          <DataList.Item key={at}>
            <DataList.Label minWidth="120px">{name}</DataList.Label>
            <DataList.Value>
              <span className="fact">{value}</span>
            </DataList.Value>
          </DataList.Item>
        ))}
    </DataList.Root>
  );
}

import { Callout, Table, Text } from '@radix-ui/themes';
import { CircleCheck, TriangleAlert } from 'lucide-react';
import type { IntegrationTest } from '../../../generated/api.ts';
import { Connectivity } from '../../../ui/status.tsx';
import { duration } from '../../../ui/time.tsx';
import { valueText } from '../words.ts';

/** The platform's answer to a test: the account, some devices as they would be synced, and settings that found nothing. */
export function TestResult({ test }: { test: IntegrationTest }) {
  if (test.error !== null)
    return (
      <Callout.Root color="red" role="alert">
        <Callout.Icon>
          <TriangleAlert size={16} />
        </Callout.Icon>
        <Callout.Text>
          {test.error.detail}. {adviceOf(test.error.code)}
        </Callout.Text>
      </Callout.Root>
    );
  return (
    <div className="stack" role="status">
      <Callout.Root color="green">
        <Callout.Icon>
          <CircleCheck size={16} />
        </Callout.Icon>
        <Callout.Text>
          Connected to {test.account ?? 'the account'} in {duration(test.durationMs)}
          {test.devices === null ? '' : `: ${test.devices.toLocaleString('en')} devices`}.
        </Callout.Text>
      </Callout.Root>
      {test.gaps.length > 0 && <Gaps gaps={test.gaps} />}
      {test.sample.length > 0 && <Sample sample={test.sample} />}
    </div>
  );
}

const ADVICE: Record<string, string> = {
  integration_unauthorized: 'Correct the credentials and test again.',
  integration_forbidden: 'Give the credentials the permission at the platform and test again.',
  integration_unreachable: 'Check the address, and that this service reaches it.',
  integration_timeout: 'Check the address, and that the platform is up.',
  integration_not_found: 'Check the address and the ids in the settings.',
  integration_redirect: "Set the platform's present address.",
  integration_rate_limited: 'The platform asks to wait. Test again in a moment.',
};

function adviceOf(code: string): string {
  return ADVICE[code] ?? 'Correct the settings and test again.';
}

function Gaps({ gaps }: { gaps: readonly string[] }) {
  return (
    <Callout.Root color="amber">
      <Callout.Icon>
        <TriangleAlert size={16} />
      </Callout.Icon>
      <Callout.Text>
        These settings found nothing in the answer of the platform: {gaps.join(', ')}. Correct them, or leave them if the platform shows the
        values later.
      </Callout.Text>
    </Callout.Root>
  );
}

function Sample({ sample }: Pick<IntegrationTest, 'sample'>) {
  const names = [...new Set(sample.flatMap(({ values }) => Object.keys(values)))].filter((name) => name !== 'name');
  return (
    <div className="wide">
      <Text as="p" size="1" color="gray" mb="1">
        Some of its devices, as they would be synced
      </Text>
      <Table.Root size="1" aria-label="Devices of the account">
        <Table.Header>
          <Table.Row>
            {['Name', 'Id', 'Connectivity', ...names].map((name) => (
              <Table.ColumnHeaderCell key={name}>{name}</Table.ColumnHeaderCell>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {sample.map(({ externalId, name, connectivity, values }) => (
            <Table.Row key={externalId}>
              <Table.RowHeaderCell>{name ?? 'unnamed'}</Table.RowHeaderCell>
              <Table.Cell className="mono">{externalId}</Table.Cell>
              <Table.Cell>
                <Connectivity connectivity={connectivity} />
              </Table.Cell>
              {names.map((field) => (
                <Table.Cell key={field}>{valueText(Object.entries(values).find(([one]) => one === field)?.[1])}</Table.Cell>
              ))}
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </div>
  );
}

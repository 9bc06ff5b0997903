import { Button, Dialog, Flex, RadioGroup, Text } from '@radix-ui/themes';
import { useQueryClient } from '@tanstack/react-query';
import { FileUp } from 'lucide-react';
import { type ChangeEvent, useState } from 'react';
import { type Answer, ApiError, call } from '../../api/client.ts';
import { outdate } from '../../api/query.ts';
import { ErrorState } from '../../ui/states.tsx';

type Outcome = Answer<'POST /api/v1/devices:import'>;
type Mode = 'partial' | 'atomic';

/** Registers many devices from a file; refused rows stand by their number. */
export function ImportDialog() {
  const [open, setOpen] = useState(false);
  return (
    <Dialog.Root open={open} onOpenChange={setOpen}>
      <Dialog.Trigger>
        <Button variant="surface" color="gray">
          <FileUp size={14} aria-hidden /> Import
        </Button>
      </Dialog.Trigger>
      <Dialog.Content maxWidth="560px" aria-describedby={undefined}>
        <Dialog.Title size="4">Import devices</Dialog.Title>
        {open && <ImportForm close={() => setOpen(false)} />}
      </Dialog.Content>
    </Dialog.Root>
  );
}

function ImportForm({ close }: { close: () => void }) {
  const client = useQueryClient();
  const [file, setFile] = useState<File>();
  const [mode, setMode] = useState<Mode>('partial');
  const [outcome, setOutcome] = useState<Outcome>();
  const [error, setError] = useState<Error>();
  const [isBusy, setBusy] = useState(false);
  const send = async () => {
    if (file === undefined) return;
    setBusy(true);
    setError(undefined);
    try {
      const type = /\.(jsonl|ndjson)$/i.test(file.name) ? 'application/x-ndjson' : 'text/csv';
      setOutcome(await call('POST /api/v1/devices:import', { query: { mode }, body: new Blob([file], { type }) as never }));
      await outdate(client, ['devices', 'summary']);
    } catch (failure) {
      setError(failure instanceof ApiError ? failure : new Error(String(failure)));
    } finally {
      setBusy(false);
    }
  };
  if (outcome !== undefined) return <ImportOutcome outcome={outcome} close={close} />;
  return (
    <Flex direction="column" gap="3">
      <Text as="p" size="2" color="gray">
        CSV with a header: id, name, type, siteId, sourceId, path, label.&lt;key&gt; … or JSON lines with one device per line. At most
        10,000 rows.
      </Text>
      <Text as="label" size="2" weight="medium">
        File
        <input
          type="file"
          accept=".csv,.jsonl,.ndjson,text/csv"
          className="file"
          onChange={(event: ChangeEvent<HTMLInputElement>) => setFile(event.target.files?.[0])}
        />
      </Text>
      <RadioGroup.Root
        value={mode}
        onValueChange={(value) => setMode(value === 'atomic' ? 'atomic' : 'partial')}
        aria-label="Rows with errors"
      >
        <RadioGroup.Item value="partial">Register the good rows, list the others</RadioGroup.Item>
        <RadioGroup.Item value="atomic">Register all rows or none</RadioGroup.Item>
      </RadioGroup.Root>
      {error !== undefined && <ErrorState error={error} />}
      <Flex gap="3" justify="end">
        <Button variant="soft" color="gray" onClick={close}>
          Cancel
        </Button>
        <Button loading={isBusy} disabled={file === undefined} onClick={() => void send()}>
          Import
        </Button>
      </Flex>
    </Flex>
  );
}

const MAX_SHOWN = 100;

function ImportOutcome({ outcome, close }: { outcome: Outcome; close: () => void }) {
  const keys = () => `id,apiKey\n${outcome.devices.map(({ id, apiKey }) => `${id},${apiKey}`).join('\n')}\n`;
  return (
    <Flex direction="column" gap="3">
      <Text size="2" weight="medium" role="status">
        {outcome.registered.toLocaleString('en')} registered, {outcome.refused.length.toLocaleString('en')} refused
      </Text>
      {outcome.registered > 0 && (
        <Text size="2">
          The keys are shown only once.{' '}
          <a className="link" href={URL.createObjectURL(new Blob([keys()], { type: 'text/csv' }))} download="device-keys.csv">
            Download the keys
          </a>
        </Text>
      )}
      {outcome.refused.length > 0 && (
        <ul className="lines refused">
          {outcome.refused.slice(0, MAX_SHOWN).map(({ row, errors }) => (
            <li key={row}>
              <Text size="2">
                Row {row}: {errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ')}
              </Text>
            </li>
          ))}
        </ul>
      )}
      {outcome.refused.length > MAX_SHOWN && <Text size="1">and {outcome.refused.length - MAX_SHOWN} more rows</Text>}
      <Flex justify="end">
        <Button onClick={close}>Done</Button>
      </Flex>
    </Flex>
  );
}

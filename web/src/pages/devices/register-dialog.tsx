import { Button, Code, Dialog, Flex, IconButton, Select, Text, TextField } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Copy, Plus } from 'lucide-react';
import { type FormEvent, type ReactNode, useId, useState } from 'react';
import { read, useAct } from '../../api/query.ts';
import { useSites } from '../../ui/fleet/site-name.tsx';
import { ErrorState } from '../../ui/states.tsx';

/** Registers one device; its key is shown once, with the line that starts the agent. */
export function RegisterDialog() {
  const [open, setOpen] = useState(false);
  const [made, setMade] = useState<{ id: string; apiKey: string }>();
  const onOpenChange = (next: boolean) => {
    setOpen(next);
    if (!next) setMade(undefined);
  };
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Trigger>
        <Button>
          <Plus size={14} aria-hidden /> Register device
        </Button>
      </Dialog.Trigger>
      <Dialog.Content maxWidth="520px" aria-describedby={undefined}>
        <Dialog.Title size="4">{made === undefined ? 'Register a device' : `${made.id} is registered`}</Dialog.Title>
        {made === undefined ? <RegisterForm onMade={setMade} /> : <MadeDevice {...made} />}
      </Dialog.Content>
    </Dialog.Root>
  );
}

function RegisterForm({ onMade }: { onMade: (made: { id: string; apiKey: string }) => void }) {
  const [fields, setFields] = useState({ id: '', name: '', type: '', sourceId: '', path: '', siteId: '' });
  const { data: sources } = useQuery(read('GET /api/v1/sources', { query: { limit: 100 } }));
  const sites = useSites();
  const register = useAct('POST /api/v1/devices', { onSuccess: onMade });
  const set = (name: keyof typeof fields) => (value: string) => setFields({ ...fields, [name]: value });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));
    register.mutate({ body: { ...given, id: fields.id } });
  };
  return (
    <form onSubmit={submit}>
      <Flex direction="column" gap="3">
        <TextRow
          label="Id"
          value={fields.id}
          onChange={set('id')}
          required
          hint="Lower-case letters, digits, “.”, “_” and “-”; the device keeps it for good"
        />
        <TextRow label="Name" value={fields.name} onChange={set('name')} />
        <TextRow label="Type" value={fields.type} onChange={set('type')} />
        <ChoiceRow label="Source" value={fields.sourceId} onChange={set('sourceId')} options={sources?.items ?? []} />
        {fields.sourceId !== '' && (
          <TextRow
            label="Folder in the source"
            value={fields.path}
            onChange={set('path')}
            hint="Empty: the device's id in a fleet, the root otherwise"
          />
        )}
        <ChoiceRow label="Site" value={fields.siteId} onChange={set('siteId')} options={sites} />
        {register.error !== null && <ErrorState error={register.error} />}
        <Flex gap="3" justify="end">
          <Dialog.Close>
            <Button variant="soft" color="gray" type="button">
              Cancel
            </Button>
          </Dialog.Close>
          <Button type="submit" loading={register.isPending}>
            Register
          </Button>
        </Flex>
      </Flex>
    </form>
  );
}

function Row({ label, hint, children }: { label: string; hint?: string | undefined; children: (id: string) => ReactNode }) {
  const id = useId();
  return (
    <div>
      <Text as="label" htmlFor={id} size="2" weight="medium">
        {label}
      </Text>
      {children(id)}
      {hint !== undefined && (
        <Text as="p" size="1" color="gray">
          {hint}
        </Text>
      )}
    </div>
  );
}

type Field = { label: string; value: string; onChange: (value: string) => void; hint?: string; required?: boolean };

function TextRow({ label, value, onChange, hint, required }: Field) {
  return (
    <Row label={label} hint={hint}>
      {(id) => <TextField.Root id={id} value={value} required={required ?? false} onChange={(event) => onChange(event.target.value)} />}
    </Row>
  );
}

function ChoiceRow({ label, value, onChange, options }: Field & { options: readonly { id: string; name: string }[] }) {
  return (
    <Row label={label}>
      {(id) => (
        <Select.Root value={value === '' ? 'none' : value} onValueChange={(chosen) => onChange(chosen === 'none' ? '' : chosen)}>
          <Select.Trigger id={id} style={{ width: '100%' }} />
          <Select.Content>
            <Select.Item value="none">None</Select.Item>
            {options.map((option) => (
              <Select.Item key={option.id} value={option.id}>
                {option.name}
              </Select.Item>
            ))}
          </Select.Content>
        </Select.Root>
      )}
    </Row>
  );
}

function MadeDevice({ id, apiKey }: { id: string; apiKey: string }) {
  const line = `node agent/main.ts --server ${location.origin} --root /var/lib/bellwether --device-id ${id} --api-key ${apiKey}`;
  return (
    <Flex direction="column" gap="3">
      <Text size="2">This key is shown once. Start the agent on the device with it:</Text>
      <Flex gap="2" align="start">
        <Code size="2" style={{ overflowWrap: 'anywhere', flex: 1 }}>
          {line}
        </Code>
        <IconButton variant="soft" aria-label="Copy the line" onClick={() => void navigator.clipboard.writeText(line)}>
          <Copy size={14} />
        </IconButton>
      </Flex>
      <Flex justify="end">
        <Dialog.Close>
          <Button>Done</Button>
        </Dialog.Close>
      </Flex>
    </Flex>
  );
}

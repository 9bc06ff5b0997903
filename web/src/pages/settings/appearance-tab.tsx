import { SegmentedControl, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { useId } from 'react';
import { type ColourScheme, type TimeZone, useAppearance } from '../../app/appearance.tsx';
import { meQuery } from '../../app/session.ts';
import { Time } from '../../ui/time.tsx';
import { Facts } from '../../ui/values/facts.tsx';

const SCHEMES: Record<ColourScheme, string> = { system: 'System', light: 'Light', dark: 'Dark' };
const ZONES: Record<TimeZone, string> = { local: 'Local time', utc: 'UTC' };

/** Choices of this browser, and who is signed in. */
export function AppearanceTab() {
  const { scheme, setScheme, timeZone, setTimeZone } = useAppearance();
  const { data: me } = useQuery(meQuery);
  return (
    <div className="columns">
      <section className="panel" aria-label="Appearance">
        <h2>Appearance of this browser</h2>
        <div className="panel-body stack">
          <Choice label="Colours" value={scheme} options={SCHEMES} onChange={setScheme} />
          <Choice label="Times" value={timeZone} options={ZONES} onChange={setTimeZone} />
          <Text size="2" color="gray">
            Now it is <Time at={new Date().toISOString()} exact />.
          </Text>
        </div>
      </section>
      {me != null && (
        <section className="panel" aria-label="Session">
          <h2>Signed in</h2>
          <div className="panel-body">
            <Facts
              facts={[
                ['Name', me.name],
                ['Role', me.role],
                ['Organization', me.organization.name],
              ]}
            />
          </div>
        </section>
      )}
    </div>
  );
}

type ChoiceProps<Value extends string> = {
  label: string;
  value: Value;
  options: Record<Value, string>;
  onChange: (value: Value) => void;
};

function Choice<Value extends string>({ label, value, options, onChange }: ChoiceProps<Value>) {
  const id = useId();
  const names = Object.keys(options) as Value[];
  const choose = (wanted: string) => {
    const name = names.find((each) => each === wanted);
    if (name !== undefined) onChange(name);
  };
  return (
    <div className="field">
      <Text size="2" weight="medium" id={id}>
        {label}
      </Text>
      <SegmentedControl.Root value={value} onValueChange={choose} aria-labelledby={id} style={{ justifySelf: 'start', maxWidth: 400 }}>
        {names.map((name) => (
          <SegmentedControl.Item key={name} value={name}>
            {options[name]}
          </SegmentedControl.Item>
        ))}
      </SegmentedControl.Root>
    </div>
  );
}

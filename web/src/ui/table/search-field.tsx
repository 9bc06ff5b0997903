import { TextField } from '@radix-ui/themes';
import { Search } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';

const PAUSE_MS = 150;

/** A search whose text stands in the address: it is asked for when the typing pauses. */
export function SearchField({ value, onChange, label }: { value: string; onChange: (text: string) => void; label: string }) {
  const [text, setText] = useState(value);
  const latest = useRef(onChange);
  useEffect(() => {
    latest.current = onChange;
  });
  // The address also changes without typing: by the back button, by a link.
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return undefined;
    const timer = setTimeout(() => latest.current(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text, value]);
  return (
    <TextField.Root
      type="search"
      value={text}
      onChange={(event) => setText(event.target.value)}
      placeholder={label}
      aria-label={label}
      style={{ flex: '1 1 220px', maxWidth: 340 }}
    >
      <TextField.Slot>
        <Search size={14} aria-hidden />
      </TextField.Slot>
    </TextField.Root>
  );
}

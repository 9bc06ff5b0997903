import { Button, DropdownMenu } from '@radix-ui/themes';
import { ChevronDown, X } from 'lucide-react';

type Option = { value: string; label: string; count?: number | undefined };

/** One filter with one value: a menu of what there is, with the number of rows of each. */
export function FilterMenu({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: string | undefined;
  options: readonly Option[];
  onChange: (value: string | undefined) => void;
}) {
  const chosen = options.find((option) => option.value === value);
  return (
    <DropdownMenu.Root>
      <DropdownMenu.Trigger>
        <Button variant={value === undefined ? 'surface' : 'soft'} color={value === undefined ? 'gray' : 'indigo'}>
          {value === undefined ? label : `${label}: ${chosen?.label ?? value}`} <ChevronDown size={12} aria-hidden />
        </Button>
      </DropdownMenu.Trigger>
      <DropdownMenu.Content>
        {value !== undefined && (
          <>
            <DropdownMenu.Item onSelect={() => onChange(undefined)}>
              <X size={12} aria-hidden /> Any
            </DropdownMenu.Item>
            <DropdownMenu.Separator />
          </>
        )}
        {options.length === 0 && <DropdownMenu.Label>Nothing to choose</DropdownMenu.Label>}
        {options.map((option) => (
          <DropdownMenu.CheckboxItem
            key={option.value}
            checked={option.value === value}
            onCheckedChange={() => onChange(option.value)}
            {...(option.count === undefined ? {} : { shortcut: option.count.toLocaleString('en') })}
          >
            {option.label}
          </DropdownMenu.CheckboxItem>
        ))}
      </DropdownMenu.Content>
    </DropdownMenu.Root>
  );
}

import { Text } from '@radix-ui/themes';
import { type ReactNode, useId } from 'react';

export type FieldError = { pointer: string; detail: string };

/** Attributes by which an input is known by its label, its description and its error. */
export type InputIds = { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean; 'aria-required': boolean };

type Props = {
  label: string;
  description?: ReactNode;
  errors?: readonly string[];
  isRequired?: boolean;
  children: (ids: InputIds) => ReactNode;
};

/** A label, its input, what it means, and what is wrong with it. */
export function Field({ label, description, errors = [], isRequired = false, children }: Props) {
  const id = useId();
  const about = description === undefined ? undefined : `${id}-about`;
  const wrong = errors.length === 0 ? undefined : `${id}-wrong`;
  const described = [about, wrong].filter((one) => one !== undefined).join(' ');
  return (
    <div className="field">
      <Text as="label" size="2" weight="medium" htmlFor={id}>
        {label}
        {isRequired && (
          <Text color="gray" weight="regular">
            {' '}
            (required)
          </Text>
        )}
      </Text>
      {children({
        id,
        'aria-describedby': described === '' ? undefined : described,
        'aria-invalid': errors.length > 0,
        'aria-required': isRequired,
      })}
      {about !== undefined && (
        <Text as="p" size="1" color="gray" id={about}>
          {description}
        </Text>
      )}
      {wrong !== undefined && (
        <Text as="p" size="1" color="red" id={wrong} role="alert">
          {errors.join('; ')}
        </Text>
      )}
    </div>
  );
}

import { InvalidArgumentError } from 'commander';

/** Parses an option's whole number from `minimum` to `maximum`. */
export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= minimum && number <= maximum)) throw new InvalidArgumentError(`must be a whole number from ${minimum} to ${maximum}`);
    return number;
  };
}

/** Parses an option's number from `minimum` to `maximum`, such as 0.25. */
export function numberFrom(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,15}(\.\d{1,15})?$|^\.\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= minimum && number <= maximum)) throw new InvalidArgumentError(`must be a number from ${minimum} to ${maximum}`);
    return number;
  };
}

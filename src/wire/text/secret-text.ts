import { z } from 'zod';

/**
 * Passwords, tokens and keys from people, files and variables. A line end after them belongs to the file or to the command that printed them
 * (`echo`, `kubectl create secret --from-file`), so the schema removes it. It refuses white space around them and control characters inside at
 * once, because a host would only ever answer 401.
 */
export function secretText(limits: { min: number; max: number }) {
  return z
    .string()
    .overwrite(withoutLineEnd)
    .min(limits.min, `must have at least ${limits.min} ${limits.min === 1 ? 'character' : 'characters'}`)
    .max(limits.max, `must have at most ${limits.max} characters`)
    .superRefine((text, c) => {
      const fault = secretFault(text);
      if (fault !== undefined) c.addIssue({ code: 'custom', message: fault });
    });
}

/** A secret without spaces inside, such as a token or key. */
export function tokenText(limits: { min: number; max: number }) {
  return secretText(limits).refine(
    (text) => secretFault(text) !== undefined || /^[\x21-\x7e]*$/.test(text),
    'must be visible ASCII characters, without spaces inside',
  );
}

export function withoutLineEnd(text: string): string {
  return text.replace(/[\r\n]+$/, '');
}

/** The fault of a secret whose line end was removed. It never quotes the secret. */
export function secretFault(text: string): string | undefined {
  if (/^\s|\s$/u.test(text)) return 'begins or ends with white space: give it without';
  if (/[\r\n]/.test(text)) return 'has a line feed inside, must be one line: was more than the secret pasted?';
  if (/\p{Cc}/u.test(text)) return 'has a control character inside, must be printable text';
  return undefined;
}

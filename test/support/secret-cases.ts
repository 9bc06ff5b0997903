import { expect } from 'vitest';
import { redactConfig } from '../../src/revision/secret/redact.ts';

export type SecretCase = { kind: string; file: string; text: string; secret: string; stays: string };

/** A file with a secret that nobody marked. @param stays a part of the text that is none */
export const secretCase = (kind: string, file: string, text: string, secret: string, stays = ''): SecretCase => ({
  kind,
  file,
  text,
  secret,
  stays,
});

export function expectHidden({ file, text, secret, stays }: SecretCase): void {
  expect(text).toContain(secret);
  const shown = redactConfig(Buffer.from(text), file);
  expect(shown).not.toContain(secret);
  expect(shown).toContain(stays);
}

export function expectUnchanged(file: string, text: string): void {
  expect(redactConfig(Buffer.from(text), file)).toBe(text);
}

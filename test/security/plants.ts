import { randomBytes } from 'node:crypto';

/** Secrets that can be told from everything else, and where they come to light. */
export type Plants = {
  /** A new secret to be planted; `name` says what it is. */
  plant(name: string): string;
  /** One that somebody else made. */
  add(name: string, value: string): string;
  /** Names of those that stand in it, in clear or in a usual encoding. */
  foundIn(output: string | Uint8Array): string[];
  names(): string[];
};

export function createPlants(): Plants {
  const secrets: { name: string; needles: string[] }[] = [];
  const add = (name: string, value: string): string => {
    secrets.push({ name, needles: encodingsOf(value) });
    return value;
  };
  return {
    add,
    plant: (name) => add(name, `planted-${name.replaceAll(' ', '-')}-${randomBytes(9).toString('hex')}`),
    foundIn: (output) => {
      const text = typeof output === 'string' ? output : Buffer.from(output).toString('latin1');
      return secrets.filter(({ needles }) => needles.some((needle) => text.includes(needle))).map(({ name }) => name);
    },
    names: () => secrets.map(({ name }) => name),
  };
}

/** As it is, in a URL, in JSON, in hexadecimal, and in base64 wherever it begins in the text that was encoded. */
function encodingsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const inBase64 = [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // The first and last characters depend on what stands around it.
    const inner = encoded.slice(offset === 0 ? 0 : 4, -2);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
  const plain = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), bytes.toString('hex'), bytes.toString('latin1')];
  return [...new Set([...plain, ...inBase64])];
}

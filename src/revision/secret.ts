/** Which values must not be shown. Too much is redacted rather than too little. */

export const REDACTED = '[redacted]';

/** Anywhere in a name, its case and separators aside. */
const SECRET_NAME =
  /passw(or)?d|passphrase|passcode|secret|credential|psk|(api|access|private|preshared|shared|auth|signing|encryption|master|wep|host|ssh|tls|wireguard)key|bearer|community/;
/** As the last word of a name: `authToken`, not `tokenTtlSeconds`. */
const SECRET_LAST_WORD = new Set(['token', 'tokens', 'pwd', 'pin', 'otp', 'puk']);

/** Words before "key" that make it one for everybody's eyes. */
const OPEN_KEYS = new Set(['public', 'primary', 'foreign', 'sort', 'partition', 'cache', 'routing']);

export function isSecretName(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
  const last = words.at(-1) ?? '';
  const isKey = last === 'key' && words.length > 1 && !OPEN_KEYS.has(words.at(-2) ?? '');
  return isKey || SECRET_NAME.test(words.join('')) || SECRET_LAST_WORD.has(last) || last.endsWith('token');
}

/** True for a place below a secret name as well: everything in `secrets: {…}` is one. */
export function isSecretPath(path: readonly string[]): boolean {
  return path.some(isSecretName);
}

/** A value that shows what it is, under whatever name: a private key, or a URL with a password. */
export function looksSecret(value: unknown): boolean {
  return typeof value === 'string' && (value.includes('PRIVATE KEY-----') || /[a-z0-9+.-]:\/\/[^\s/?#@:]*:[^\s/?#@]+@/i.test(value));
}

/** True when `pointer` is one of `secrets` or below one. */
export function isBelow(pointer: string, secrets: ReadonlySet<string>): boolean {
  if (secrets.has(pointer)) return true;
  for (let end = pointer.lastIndexOf('/'); end >= 0; end = pointer.lastIndexOf('/', end - 1)) {
    if (secrets.has(pointer.slice(0, end))) return true;
    if (end === 0) break;
  }
  return false;
}

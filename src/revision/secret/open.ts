import { wordsOf } from './words.ts';

/** Values that are no secrets although their names are those of secrets: places of files, limits, addresses, references, public keys. */

const set = (words: string) => new Set(words.split(' '));

/** Last words of a name whose value is the place of a file. */
const FILES = set('file files filename filepath path paths dir directory location folder datei pfad fichier archivo bestand');
/** Last words of a name whose value is a number or a duration. */
const LIMITS = set(
  'length len ttl seconds secs minutes hours days weeks expiry expiration expires age attempts retries tries rounds iterations history bits size interval timeout lifetime period limit tage jours dias giorni dagen',
);
const EXTREMES = set('min max num minimum maximum');
const LIMIT =
  /^\d{1,7}(?:\.\d{1,3})?\s?(?:ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?|months?|y|years?|bits?|bytes?|chars?)?$/i;
/** Last words of a name whose value is a choice of a few. */
const CHOICES = set('policy mode method algorithm algo strength type format encoding provider backend scheme mgmt management');
const CHOICE = /^[a-z]{2,16}(?:[_-][a-z]{2,16}|-?\d{1,3}){0,3}$/;
const ADDRESSES = set('url urls uri uris endpoint endpoints issuer server address host');
const KEY_IN_FILE = /(?:key|credential|cert|certificate|keystore|truststore|pem|psk|secret)s?$/;
/** Directives of nginx that pass a request on. */
const PASSES_ON = /^(?:fastcgi|uwsgi|scgi|grpc|memcached)_pass$/i;

/** @param value one value, or the rest of a line. False: the name decides. */
export function isOpenValue(name: string, value: unknown): boolean {
  if (typeof value !== 'string' && typeof value !== 'number') return false;
  if (isPublicKey(value)) return true;
  const text = bare(String(value));
  if (text.length === 0 || text.length > MAX_CHARS) return false;
  // The device fills it in. With a default behind the name it may hold a password.
  if (/^\$\{\w{1,64}\}$/.test(text)) return true;
  const words = wordsOf(name);
  const last = words.at(-1) ?? '';
  if (FILES.has(last) || /.file$/.test(last)) return isPath(text);
  if (LIMIT.test(text)) return isLimit(words);
  if (CHOICES.has(last)) return CHOICE.test(text);
  if (/identity$/.test(last) || /psk_?ids?$/.test(words.join('_'))) return /^[\w@.-]{1,64}(?: \w{1,8})?$/.test(text);
  if (ADDRESSES.has(last)) return !words.some((word) => word.includes('hook')) && (isAddress(text) || IS_WITHOUT_PASSWORD.test(text));
  if (last === 'jdbc') return JDBC_WITHOUT_PASSWORD.test(text);
  if (last === 'dsn') return IS_WITHOUT_PASSWORD.test(text);
  if (last === 'pass' && isPassedOn(name, text)) return true;
  return KEY_IN_FILE.test(last) && isFilePath(text) && (/[/\\]/.test(text) || !/(?:psk|secret|credential)s?$/.test(last));
}

/** `PasswordAuthentication no`: a switch, in the words of any format. */
export function isSwitch(value: unknown): boolean {
  return typeof value === 'string' && /^(?:true|false|on|off|yes|no|null)$/i.test(value);
}

/** A switch alone, or in quotes before the rest of an element. Without quotes a sentence may begin so. */
export function startsWithSwitch(rest: string): boolean {
  return isSwitch(bare(rest)) || isSwitch(/^(["'])([a-z]{2,5})\1/i.exec(rest)?.[2]);
}

/** `mode=dynamic-keys types=…`: the word is a value, and another setting follows. */
export function isValueOfSetting(line: string, index: number, name: string): boolean {
  const after = line.slice(index + name.length, index + name.length + 80);
  return line[index - 1] === '=' && !name.startsWith('-') && /^\s[A-Za-z][\w.-]{0,64}=[^\s=]/.test(after);
}

/** `passwordMinLength`, `tokens_per_minute`. `pin_max` may be the PIN of Max. */
function isLimit(words: readonly string[]): boolean {
  const [first = '', last = ''] = [words[0], words.at(-1)];
  if (EXTREMES.has(last)) return LIMITS.has(words.at(-2) ?? '');
  if (EXTREMES.has(first) && /^(?:tokens|keys|passwords|sessions|secrets)$/.test(last)) return true;
  return LIMITS.has(last) || words.includes('per') || words.includes('rotation') || words.includes('expiration');
}

function isPassedOn(name: string, text: string): boolean {
  return PASSES_ON.test(name) || (/^proxy_pass$/i.test(name) && (isAddress(text) || /^https?:\/\/unix:\/\S+$/.test(text)));
}

/** An address whose password is hidden already. */
const IS_WITHOUT_PASSWORD = /^[a-z][a-z0-9+.-]{0,30}:\/\/[\w.-]{0,64}:?\[redacted\]@[\w.:-]{1,256}(?:\/[\w.-]{0,64}){0,4}$/i;

const JDBC_WITHOUT_PASSWORD = /^(?:jdbc:)?[a-z\d]{2,20}:(?:[a-z\d]{2,20}:)?\/\/[\w.:-]{1,256}(?:\/[\w-]{0,64})?$/;

const MAX_CHARS = 512;

/** The value without quotes, and without what ends it in its line. */
export function bare(value: string): string {
  const text = value
    .slice(0, MAX_CHARS + 8)
    .trim()
    .replace(/\s{0,9}[;,]$/, '');
  const quote = text[0];
  return (quote === '"' || quote === "'") && text.length > 1 && text.endsWith(quote) ? text.slice(1, -1) : text;
}

/** A path, under a name that expects one: `~/.ssh/till`, `C:\keys\a.pem`, `keys/a.pem`, `id:/etc/a`. */
function isPath(text: string): boolean {
  return /^(?:[\w-]{1,64}:)?(?:~|\.{1,2}|[A-Za-z]:|\$\{?\w{1,64}\}?)?[/\\][\w./\\ @+${}-]{1,512}$/.test(text) || EXTENSION.test(text);
}

const EXTENSION =
  /^[\w@+-][\w./@+-]{0,200}\.(?:key|pem|crt|cer|der|p12|pfx|jks|psk|txt|conf|cfg|ini|json|ya?ml|list|db|pw|pass|passwd|secret|keytab)$/i;

/** A path, under any name: in a folder that many systems have, or of a file of keys. The base64 of a key may begin with a slash as well. */
export function isFilePath(text: string): boolean {
  return (
    /^(?:[\w-]{1,64}:)?(?:~|\.{1,2}|[A-Za-z]:)?[/\\](?:etc|var|run|opt|usr|home|root|tmp|app|data|mnt|srv|config|conf|certs?|ssl|tls|keys?|secrets?|flash|dev|\.ssh)[/\\][\w./\\ @+-]{1,400}$/i.test(
      text,
    ) ||
    (/^(?:~|\.{1,2}|[A-Za-z]:)?[/\\]?[\w./\\@+-]{1,400}$/.test(text) &&
      /[\w)-]\.(?:key|pem|crt|cer|der|p12|pfx|jks|psk|keytab)$/i.test(text))
  );
}

/** A public key of SSH. */
export function isPublicKey(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    /^["']?(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\w{1,20}|sk-[\w@.-]{1,60})\s{1,4}AAAA[\w+/=]{8,4000}(?:\s{1,4}[\w@.:+-]{1,128})?["']?\s{0,4}[;,]?$/.test(
      value,
    )
  );
}

/** A URL without a user, parameters, or a part like a token. */
function isAddress(text: string): boolean {
  const path = /^[a-z][a-z0-9+.-]{0,20}:\/\/[\w.$-]{1,256}(?::\d{1,5})?((?:\/[\w.~$-]{0,128}){0,16})$/i.exec(text)?.[1];
  return path !== undefined && !path.split('/').some((part) => part.length >= 12 && /\d/.test(part) && /[a-z]/i.test(part));
}

/** Members of a reference to a secret, which stands elsewhere. */
const REFERENCE_MEMBERS = set('name key namespace optional kind apiVersion');

/** `secretKeyRef: {name, key}`, `imagePullSecrets: [{name}]`, `secret: {secretName}`, `existingSecret`: names of secrets of Kubernetes. */
export function isReference(path: readonly string[], index: number): boolean {
  const name = path[index] ?? '';
  const last = path.at(-1) ?? '';
  if (index === path.length - 1) return /^(?:secretName|existingSecret|tlsSecretName)$/.test(name);
  if (/^(?:imagePullSecrets|\w{0,64}(?:KeyRef|[sS]ecretRef))$/.test(name)) return REFERENCE_MEMBERS.has(last);
  return (
    name === 'secret' &&
    (/^(?:secretName|defaultMode|optional)$/.test(last) || (path[index + 1] === 'items' && /^(?:key|path|mode)$/.test(last)))
  );
}

/** `passwords: { minLength: 8 }`, `secrets: { db: { file: ./db.txt } }`: what a member says of the secret above it. */
export function isOpenMember(name: string, value: unknown): boolean {
  const text = bare(String(value));
  if (/^(?:file|path)$/i.test(name)) return isPath(text);
  if (/(?:[a-z]U|[_-]u|^u)r[il]$|(?:[a-z]E|[_-]e|^e)ndpoint$/.test(name)) return isAddress(text);
  return /^(?:min|max)(?:imum)?[_-]?(?:len|length|age|attempts|retries|tries|size|chars|days|uses|items)$/i.test(name) && LIMIT.test(text);
}

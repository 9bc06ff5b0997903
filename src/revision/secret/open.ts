/** Values that are no secrets although their names are those of secrets: places of files, limits, addresses, references, public keys. */

/** The words of a name that say what else its value is. */
const FILE_NAME = /(?:file|filename|filepath|path|dir|directory|location|folder|datei|pfad|fichier|archivo|bestand)s?$/i;
const KEY_NAME = /(?:key|credentials?|cert|certificate|keystore|truststore|pem|psk|dsn|secrets?)(?:[_.-]?\d)?$/i;
const LIMIT_NAME =
  /(?:length|min|max|minimum|maximum|ttl|seconds|minutes|hours|days|expiry|expiration|expires?|age|attempts|retries|tries|rounds|iterations|history|bits|size|interval|timeout|lifetime|period|count|limit|port|version|tage|jours|dias)$|^(?:min|max|num|rotation|delai|expiration)(?:imum)?[_.-]|^(?:min|max|num)[A-Z]|per[_.-]?(?:second|minute|hour|day)$/i;
const LIMIT =
  /^\d{1,7}(?:\.\d{1,3})?\s?(?:ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?|months?|y|years?|bits?|bytes?|chars?)?$/i;
const POLICY_NAME = /(?:policy|mode|method|algorithm|algo|strength|type|format|encoding|provider|backend|source|scheme|management|mgmt)$/i;
const POLICY = /^[a-z]{2,16}(?:[_ -][a-z]{2,16}|-?\d{1,3}){0,3}$/;
const IDENTITY_NAME = /(?:identity|hint|username|user|userid|user_?name|names?space)$/i;
const ADDRESS_NAME = /(?:url|uri|endpoint|issuer|host|hostname|server|address|domain|audience|header|prefix)s?$/i;
/** Directives of nginx that pass a request on. */
const PASSES_ON = /^(?:fastcgi|uwsgi|scgi|grpc|memcached)_pass$/i;

/** @param value one value, or the rest of a line. False: the name decides. */
export function isOpenValue(name: string, value: unknown): boolean {
  if (typeof value === 'number') return LIMIT_NAME.test(name) && LIMIT.test(String(value));
  if (typeof value !== 'string') return false;
  const text = bare(value);
  if (text.length === 0 || text.length > MAX_CHARS) return false;
  if (isPublicKey(text)) return true;
  if (FILE_NAME.test(name)) return isPath(text);
  if (PASSES_ON.test(name)) return true;
  if (/_pass$/i.test(name)) return isAddress(text) || /^unix:\/\S+$/.test(text);
  if (LIMIT_NAME.test(name) && LIMIT.test(text)) return true;
  if (POLICY_NAME.test(name)) return POLICY.test(text);
  if (IDENTITY_NAME.test(name)) return /^[\w@.: -]{1,64}$/.test(text);
  if (ADDRESS_NAME.test(name) && !/hook/i.test(name))
    return isAddress(text) || /^[a-z\d-]{1,63}(?:\.[a-z\d-]{1,63}){1,8}(?::\d{1,5})?$/i.test(text);
  return KEY_NAME.test(name) && isFilePath(text);
}

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
    /^(?:[\w-]{1,64}:)?(?:~|\.{1,2}|[A-Za-z]:)?[/\\](?:etc|var|run|opt|usr|home|root|tmp|app|data|mnt|srv|config|conf|certs?|ssl|tls|keys?|secrets?|boot|media|flash|dev|vault|\.ssh)[/\\][\w./\\ @+-]{1,400}$/i.test(
      text,
    ) ||
    (/^(?:~|\.{1,2}|[A-Za-z]:)?[/\\]?[\w./\\@+-]{1,400}$/.test(text) &&
      /[\w)-]\.(?:key|pem|crt|cer|der|p12|pfx|jks|psk|keytab)$/i.test(text))
  );
}

/** A public key of SSH. */
export function isPublicKey(value: unknown): boolean {
  return (
    typeof value === 'string' && /^["']?(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\w{1,20}|sk-[\w@.-]{1,60})\s{1,4}AAAA[\w+/=]{8,}/.test(value)
  );
}

/** An address of a service without a user, parameters, or a part like a token. */
function isAddress(text: string): boolean {
  if (!/^(?:[a-z][a-z0-9+.-]{0,20}:\/\/)[\w.$[\]{}:-]{1,256}(?:\/[\w./~$-]{0,256})?$/i.test(text))
    return /^[\w.-]{1,200}:\d{1,5}$/.test(text);
  return !/[/](?=[\w-]{0,99}\d)(?=[\w-]{0,99}[a-zA-Z])[\w-]{16,}/.test(text.replace(/^[a-z+.-]{1,20}:\/\/[^/]*/i, ''));
}

/** Members of a reference to a secret, which stands elsewhere. */
const REFERENCE_MEMBERS = new Set('name key namespace optional items path mode defaultMode secretName kind apiVersion group'.split(' '));

/** `secretKeyRef: {name, key}`, `imagePullSecrets: [{name}]`, `secret: {secretName}`, `existingSecret`: names of secrets of Kubernetes. */
export function isReference(path: readonly string[], index: number): boolean {
  const name = path[index] ?? '';
  const last = path.at(-1) ?? '';
  if (index === path.length - 1)
    return /^(?:secretName|existingSecret|tlsSecret|tlsSecretName|secretStoreRef)$/.test(name) || isMemberOfReference(path);
  if (/^(?:imagePullSecrets|\w{0,64}(?:KeyRef|SecretRef|secretRef|SecretKeyRef))$/.test(name)) return REFERENCE_MEMBERS.has(last);
  return name === 'secret' && (path.includes('items') || /^(?:secretName|defaultMode|optional)$/.test(last));
}

function isMemberOfReference(path: readonly string[]): boolean {
  return REFERENCE_MEMBERS.has(path.at(-1) ?? '') && /KeyRef$|^secretRef$/.test(path.at(-2) ?? '');
}

/** `passwords: { minLength: 8 }`, `secrets: { db: { file: ./db.txt } }`: what a member says of the secret above it. */
export function isOpenMember(name: string, value: unknown): boolean {
  if (/^(?:file|path)$/i.test(name)) return typeof value === 'string' && isPath(value);
  return /^(?:min|max)(?:imum)?[_-]?[a-z]{3,12}$/i.test(name) && LIMIT.test(String(value));
}

import { isPasswordAbroad, KEYS, PLACES_ABROAD } from './languages.ts';
import { isFilePath, isOpenMember, isOpenValue, isPublicKey, isReference, isSwitch } from './open.ts';
import { hasSecretShape, isToken, textInBase64 } from './shapes.ts';
import { wordsOf } from './words.ts';

/** Which values must not be shown. Too much is redacted rather than too little. */

export const REDACTED = '[redacted]';

/** Anywhere in a name, its case and separators aside. */
const SECRET_NAME =
  /passw(or)?d|passwrd|passphrase|passcode|passwort|kennwort|contrasena|motdepasse|wachtwoord|losenord|secret|credential|psk|communit(y|ies)|(api|access|private|priv|preshared|shared|auth|signing|encryption|master|wep|wpa|host|ssh|tls|ssl|wireguard|account|enc|crypto|crypt|hmac|session|client|jwt|license|licence|storage|webhook|join|enrol|enroll|deploy|service|bot|network|app|nwk|group|traffic|radius|tacacs|ospf|bgp|isis|ntp|ipsec|ike|eap|secure|security|aes)keys?$|(api|private|preshared|shared|access|master|auth|signing|encryption)key|bearer|keymaterial|authorization|connectionstring|connstr|mnemonic|seedphrase|setcookie|webhookurl|basicauth|masterauth|(totp|otp|hmac|mfa)seed|pincode|phash|snmp(v?[12]c?)?(ro|rw|read|write)$|zugangsdaten/;
/** As the last word of a name: `authToken`, not `tokenTtlSeconds`. */
const SECRET_LAST_WORDS = new Set(
  'token tokens pwd pswd pword passwd pass passes pw psw pin otp totp puk cvv cvc dsn jwt cookie cookies private privkey htpasswd userpass keypass jdbc authtok kek bdk ipek scbk tmk zmk zpk tpk lmk prv zugang geheim senha parola mdp'.split(
    ' ',
  ),
);
/** Words that say of a name's last word which of several it is, or how it is written. */
const QUALIFIERS = new Set(
  'old new prev previous next current cur backup bak default primary secondary alt fallback value val text txt plain plaintext cleartext clear raw hash hashed encrypted enc cipher base64 b64 hex ascii string str data rw ro main temp tmp test prod dev staging'.split(
    ' ',
  ),
);
/** Words of the same for weak names. */
const WRITINGS = new Set('encoded enc base64 b64 hex old new'.split(' '));
const NOT_PASS = /^(ssh|by|com|tres|over|under|sur|encom|im|high|low|band|all)pass$/;
/** Words before "key" that make it one for everybody's eyes. */
const OPEN_KEYS = new Set(
  'public pub primary foreign sort partition cache routing hot arrow map row i18n translation message configuration'.split(' '),
);
/** Words that end in "key" and name none, or an open one. */
const OPEN_KEY_WORDS =
  /^(?:mon|tur|don|hoc|hot|whis|joc|re|lac|mi|soft|sub|public|pub|primary|foreign|sort|partition|cache|routing|arrow|mal|jer|smo|disc|low|funct|func|map|object|row|group|label|tag|host|no|any)keys?$/;

/** Names that mean a secret only together with one of `CONTEXTS`, or with a value that looks like one. */
const WEAK_LAST_WORDS = new Set(
  'key keys auth authentication md5 sha sha1 sha256 digest code salt seed session sid sig signature sas phrase combination priv wpa wep sae hash pem keystring hmac'.split(
    ' ',
  ),
);
/** A random value under these names proves nothing, because checksums look random too. */
const CHECKSUMS = new Set('md5 sha sha1 sha256 digest hash'.split(' '));
const CONTEXTS = new Set(
  `wifi wlan wireless ssid hotspot wpa wep hostapd radius tacacs ospf bgp eigrp isis rip hsrp vrrp glbp ipsec ike isakmp vpn wireguard wg openvpn snmp
  snmpv ntp eap dot1x macsec security encryption encrypt crypto hmac jwt oauth auth authentication lora lorawan zigbee zwave thread peer peers neighbor
  neighbors neighbour tunnel tunnels keychain signing aes license licence api bluetooth ble totp mfa alarm door lock unlock vault access safe usm otaa abp`.split(
    /\s+/,
  ),
);
/** Whose code opens something: `release_code: 20485`, not `country_code: 49000`. */
const CODE_OWNERS = new Set(
  'release duress installer engineer technician disarm arm entry gate user admin supervisor manager operator override emergency dealer unlock keypad level door access pairing setup activation commissioning claim enrollment enrolment matter homekit manual registration exit maintenance security alarm safe'.split(
    ' ',
  ),
);
/** Whose code of letters and digits lets a device in: `registration_code: QW-ER-77`. */
const CODE_LENDERS = new Set(
  'pairing setup activation claim enrollment enrolment registration invite invitation join provisioning'.split(' '),
);
/** Numbers of cards that open a door. */
const CARDS = new Set('card cards badge badges fob fobs rfid nfc'.split(' '));
const CARD_LISTS = new Set('whitelist allowlist allow allowed authorized uid uids tag tags number numbers master'.split(' '));
/** Lists of `user:password`. */
const USERS = new Set('users user accounts account logins login auth basicauth basic_auth basic-auth htpasswd'.split(' '));
/** Names of methods of authentication and encryption. They are no secrets. */
const METHODS =
  /^(?:(?:wpa[23]?|wep|psk|sae|owe|eap|peap|ttls|tls|open|none|no|yes|any|on|off|auto|basic|digest|bearer|oauth2?|oidc|saml|ldap|kerberos|local|radius|tacacs|pam|md5|sha\d{0,3}|hmac|aes|ccmp|tkip|gcmp|gcm|cbc|des|3des|enterprise|personal|mixed|transition|shared|text|plain|login|required|optional|disabled|enabled|true|false|null|mschap(?:v2)?|chap|pap|gtc|fast|rsa|ecdsa|ed25519|x509|certificate|cert|password|key|token|psks?|\d{1,3})(?:[-_+/ ,]|$))+$/i;

/** Caches the verdict on names, because most files repeat a few names. */
const known = new Map<string, boolean>();
const MAX_KNOWN = 5_000;

export function isSecretName(name: string): boolean {
  const before = known.get(name);
  if (before !== undefined) return before;
  const verdict = judgedName(name);
  if (known.size >= MAX_KNOWN) known.clear();
  if (name.length <= 64) known.set(name, verdict);
  return verdict;
}

function judgedName(name: string): boolean {
  const all = wordsOf(name);
  const last = all.findLastIndex((word) => !QUALIFIERS.has(word) && !/^\d+$/.test(word));
  const words = all.slice(0, last + 1);
  return isSecretWords(all) || (words.length < all.length && isSecretWords(words));
}

function isSecretWords(words: readonly string[]): boolean {
  const last = words.at(-1)?.replace(/(?<=[a-z])\d{1,2}$/, '') ?? '';
  if (/.keys?$/.test(last) && !OPEN_KEY_WORDS.test(last)) return true;
  const isKey = (last === 'key' || last === 'keys') && words.length > 1 && !OPEN_KEYS.has(words.at(-2) ?? '');
  return (
    isKey ||
    SECRET_NAME.test(words.join('')) ||
    isPasswordAbroad(words.join('')) ||
    SECRET_LAST_WORDS.has(last) ||
    words[0] === 'mdp' ||
    /(?:token|pwd|passwd|.pw)s?$/.test(last) ||
    endsInPass(last)
  );
}

function endsInPass(word: string): boolean {
  return /.pass(?:es)?$/.test(word) && !NOT_PASS.test(word);
}

/** True for a place below a secret name as well: everything in `secrets: {…}` is one. The rules of a schema for a secret member are not secret. */
export function isSecretPath(path: readonly string[], value?: unknown): boolean {
  const isSecret = path.some((name, index) => isSecretName(name) && !isSchemaKeyword(path, index) && !isReference(path, index));
  return isSecret && !(value !== undefined && isOpenAt(path, value));
}

/** Below a secret name the name of a value that anybody may see needs to say more. */
function isOpenAt(path: readonly string[], value: unknown): boolean {
  const name = path.at(-1) ?? '';
  return isSecretName(name) ? isOpenValue(name, value) : isOpenMember(name, value);
}

const SCHEMA_HOLDERS = new Set(['properties', 'patternProperties', '$defs', 'definitions']);
const SCHEMA_KEYWORDS = new Set(
  'type title description $comment $ref format pattern minLength maxLength minimum maximum minItems maxItems required writeOnly readOnly x-secret deprecated'.split(
    ' ',
  ),
);

function isSchemaKeyword(path: readonly string[], index: number): boolean {
  const last = path.findLastIndex((name) => !/^\d+$/.test(name));
  return last > index && SCHEMA_HOLDERS.has(path[index - 1] ?? '') && SCHEMA_KEYWORDS.has(path[last] ?? '');
}

/** Whether the value at a path is secret: by a name on the way to it, or by a weaker one together with the value's look. */
export function isSecretValue(path: readonly string[], value: unknown): boolean {
  if (typeof value === 'boolean' || value === null || value === undefined || value === '') return false;
  if (isSwitch(value) || isPublicKey(value)) return false;
  if (isSecretPath(path, value)) return true;
  const text = String(value);
  if (path.some((name) => USERS.has(name.toLowerCase())) && /^[\w.@-]{1,64}:(?!\d{1,5}$)\S{3,}$/.test(text)) return true;
  const words = wordsOf(path.findLast((name) => !/^\d+$/.test(name)) ?? '');
  const last = words.findLast((word) => !WRITINGS.has(word)) ?? '';
  // A pin of a board has a shorter number.
  const isPin = words[0] === 'pin' || path.some((name) => /(?:^|[a-z_.-])pins$/i.test(name));
  if (isPin && /^\d{4,12}$/.test(text) && !isOpenValue(words.join('_'), text)) return true;
  if ((isKeyMaterial(text) || isToken(text)) && !isOpenRandom(words)) return true;
  // `homekit: { code: 031-45-154 }`.
  const above = wordsOf(path.slice(0, -1).findLast((name) => !/^\d+$/.test(name)) ?? '');
  if (isCode([...above, ...words], text) || isHook(last, text)) return true;
  const contexts = [...path.slice(0, -1).flatMap(wordsOf), ...words.slice(0, -1)];
  const isInContext = contexts.some(isContext) || (KEYS.has(last) && contexts.some((word) => PLACES_ABROAD.has(word)));
  if (isCard(contexts, last, text)) return true;
  if (isInContext && CARDS.has(last)) return /^[\da-f: -]{4,40}$/i.test(text);
  // The word for "key" begins the name in Romance languages.
  if (KEYS.has(words[0] ?? '') && words.slice(1).some((word) => isContext(word) || PLACES_ABROAD.has(word))) return true;
  if (!KEYS.has(last) && !WEAK_LAST_WORDS.has(last) && !WEAK_LAST_WORDS.has(last.replace(/\d+$/, ''))) return false;
  if ((METHODS.test(text) && /[a-z]/i.test(text)) || OPEN_KEYS.has(words.at(-2) ?? '') || text.length < 4) return false;
  if (isFilePath(text)) return false;
  return (isInContext && !/\s\S+\s/.test(text)) || (!CHECKSUMS.has(last) && isRandom(text));
}

function isContext(word: string): boolean {
  return CONTEXTS.has(word.replace(/\d+$/, ''));
}

function isCode(words: readonly string[], text: string): boolean {
  const last = words.at(-1) ?? '';
  if (last === 'pattern') return words.includes('unlock') && /^\d{4,9}$/.test(text);
  if (/^licen[cs]es?$/.test(last)) return SERIAL_KEY.test(text);
  if (last !== 'code' && last !== 'codes') return false;
  if (/^[\d*#-]{4,14}$/.test(text)) return words.some((word) => CODE_OWNERS.has(word));
  return words.some((word) => CODE_LENDERS.has(word)) && /^(?=.*\d)[A-Z\d]{2,8}(?:-?[A-Z\d]{2,8}){1,7}$/.test(text);
}

/** `AB12-CD34-EF56`, as makers of programs sell it. */
const SERIAL_KEY = /^[A-Z\d]{4,8}(?:-[A-Z\d]{4,8}){2,7}$/;

/** The last part of a webhook's address is its secret. */
function isHook(last: string, text: string): boolean {
  return (
    /^(?:web)?hooks?$/.test(last) &&
    /^https?:\/\/\S{1,500}\/[\w-]{16,200}\/?$/.test(text) &&
    isRandom(text.split('/').findLast((part) => part !== '') ?? '')
  );
}

/** Numbers of cards that open something: `rfid: { whitelist: [04A2B3C4] }`. */
function isCard(contexts: readonly string[], last: string, text: string): boolean {
  const isListed = CARD_LISTS.has(last) && contexts.some((word) => CARDS.has(word));
  return isListed && /^(?:[\da-f]{2}[: -]?){4,10}$/i.test(text);
}

/** 14 bytes or more in hexadecimal: a key, unless its name says what else it is. */
function isKeyMaterial(text: string): boolean {
  return text.length >= 28 && text.length <= 512 && /^(?=.*\d)(?=.*[a-f])(?:[\da-f]+|[\dA-F]+)$/i.test(text);
}

/** @param words of the name of a random value. */
export function isOpenRandom(words: readonly string[]): boolean {
  return words.some((word) => OPEN_HEX.has(word));
}

/** Words in names of random values that anybody may see. */
const OPEN_HEX = new Set(
  'id ids uid uuid guid eui sha sha1 sha256 sha512 md5 hash digest checksum sum crc commit oid rev revision version ref etag fingerprint thumbprint serial address addr mac build tag image layer blob pub public certificate cert modulus nonce ksn kcv trace span correlation request bundle object tree parent'.split(
    ' ',
  ),
);

/** Letters and digits without order, as no word and no number has them. */
export function isRandom(text: string): boolean {
  if (text.length < 8 || /[\s/\\]/.test(text) || !/\d/.test(text) || !/[A-Za-z]/.test(text)) return false;
  return /[a-z].*[A-Z]|[A-Z].*[a-z]|[a-z]\d+[a-z]|[A-Z]\d+[A-Z]|[!$%&*+=?@#^~]/.test(text);
}

/** A shorter value has none of the shapes. */
const MIN_SHAPE_CHARS = 6;

/** A value that shows what it is, under whatever name: a private key, a token, or a URL with a password; in base64 too. */
export function looksSecret(value: unknown): boolean {
  if (typeof value !== 'string' || value.length < MIN_SHAPE_CHARS) return false;
  if (hasSecretShape(value, isSecretName)) return true;
  const inside = textInBase64(value);
  return (
    inside !== null &&
    (hasSecretShape(inside, isSecretName) ||
      /^[\w.@-]{1,64}:\S{4,}$/.test(inside) ||
      (/["']?(\w{1,64})["']?\s{0,9}[:=]/.test(inside) && namesSecret(inside)))
  );
}

function namesSecret(text: string): boolean {
  return [...text.matchAll(/([\w.-]{2,64})["']?\s{0,9}[:=]\s{0,9}(?=\S)/g)].some(([, name = '']) => isSecretName(name));
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

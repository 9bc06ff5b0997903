/** Texts that are secret by their shape, under whatever name. All expressions are linear in the length of the text. */

const SHAPES: readonly RegExp[] = [
  // Source hosts and package registries.
  /\bgh[opsur]_[A-Za-z0-9]{20,255}/,
  /\bgithub_pat_\w{20,255}/,
  /\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[\w.-]{16,300}/,
  /\bATBB[A-Za-z0-9_=.-]{20,200}/,
  /\bAT[AC]TT3x[A-Za-z0-9_=.-]{20,300}/,
  /\bnpm_[A-Za-z0-9]{30,64}/,
  /\bpypi-[\w-]{40,300}/,
  /\brubygems_[a-f0-9]{40,64}/,
  /\bdckr_(?:pat|oat)_[\w-]{20,64}/,
  /\bcio[A-Za-z0-9]{32}\b/,
  // Clouds.
  /\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AIDA|AROA)[A-Z0-9]{12,24}\b/,
  /\bamzn\.mws\.[0-9a-f-]{30,40}/,
  /\bAIza[\w-]{30,40}/,
  /\bya29\.[\w-]{20,500}/,
  /\bGOCSPX-[\w-]{20,40}/,
  /\bdo[opr]_v1_[a-f0-9]{40,80}/,
  /\bEAAA[\w-]{50,100}/,
  /\b[\w~.-]{3}8Q~[\w~.-]{30,40}/,
  /\bLTAI[A-Za-z0-9]{12,24}\b/,
  /\bAKID[A-Za-z0-9]{28,40}\b/,
  /\bt1\.[A-Z0-9a-z_-]{20,300}[=]{0,2}\.[A-Z0-9a-z_-]{60,100}/,
  /\b(?:hvs|hvb|hvr)\.[\w-]{20,300}/,
  /\b[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{50,80}/,
  /\bdapi[a-f0-9]{32}/,
  /\bpul-[a-f0-9]{40}\b/,
  /\bfm2_[A-Za-z0-9+/=_-]{40,600}|\bfo1_[\w-]{40,60}/,
  /\bHRKU-[\w-]{30,80}/,
  /\brnd_[A-Za-z0-9]{28,40}\b/,
  /\bnf[pco]_[A-Za-z0-9]{30,60}/,
  /\bsbp_[a-f0-9]{40}\b|\bsb_secret_[\w-]{20,60}/,
  // Payment, messages, models and monitoring.
  /\b(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,250}|\bwhsec_[\w+/=-]{16,120}/,
  /\bsq0(?:atp|csp|idp)-[\w-]{20,60}/,
  /\bxox[abceoprs]-[\w-]{8,300}|\bxapp-\d-[\w-]{10,300}|\bxoxe\.xox[bp]-[\w-]{20,300}/,
  /\bSG\.[\w-]{16,32}\.[\w-]{30,64}/,
  /\bkey-[a-f0-9]{32}\b/,
  /\b[a-f0-9]{32}-us\d{1,2}\b/,
  /\b(?:SK|AC)[a-f0-9]{32}\b/,
  /\b\d{6,12}:A[A-Za-z0-9_-]{32,36}\b/,
  /\b[MNO][\w-]{22,28}\.[\w-]{6}\.[\w-]{26,40}\b/,
  /\bsk-(?=[\w-]{0,80}\d)[\w-]{20,250}/,
  /\bhf_[A-Za-z0-9]{28,60}|\bapi_org_[A-Za-z0-9]{28,60}/,
  /\bgsk_[A-Za-z0-9]{40,64}|\bxai-[A-Za-z0-9]{60,100}|\br8_[A-Za-z0-9]{30,48}|\bpplx-[A-Za-z0-9]{40,64}|\btvly-[\w-]{24,64}/,
  /\bgl(?:c|sa)_[A-Za-z0-9+/=_]{30,400}/,
  /\bNR(?:AK|II|JS|AL)-[\w-]{20,48}/,
  /\bsntry[su]_[A-Za-z0-9+/=_-]{40,400}/,
  /\bdt0[a-z]\d{2}\.[A-Z0-9]{20,28}\.[A-Z0-9]{40,70}/,
  /\b(?:lin_api|secret|ntn|figd|shp(?:at|ca|pa|ss)|pscale_(?:tkn|pw|oauth)|ph[cx]|rdme|sgp|waka|re)_(?=\w{0,40}\d)[\w-]{20,200}/,
  /\b(?:PMAK|EZ[AT]K|dp\.(?:pt|st|sa|ct|scim|audit))[.-]?(?=[\w-]{0,40}\d)[\w-]{24,200}/,
  /\b[a-f0-9]{10}:0:[a-f0-9]{128}:[a-f0-9]{64,160}\b/,
  // An active dataset of Thread, whose first value is its time; the code on a device of Matter; the address of a check.
  /\b0e08[0-9a-f]{40,520}\b/i,
  /\bMT:[A-Z0-9.-]{17,40}/,
  /\bhc-ping\.com\/[\w-]{8,80}/,
  /\btskey-[a-z]{2,12}-[\w-]{10,100}/,
  /\bAGE-SECRET-KEY-1[A-Z0-9]{40,70}/i,
  /\bbw[etdr]_[\w-]{20,100}/,
  // JSON Web Tokens and their relatives.
  /\bey[JK][A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,8000}(?:\.[A-Za-z0-9_-]{0,4000}){0,3}/,
  /\bv\d\.(?:local|public)\.[A-Za-z0-9_-]{40,4000}/,
  // Password hashes, and what network gear writes instead of a password.
  /\$(?:1|5|6|7|8|9|14|2[abxy]?|y|apr1|md5|sha1|argon2(?:id|i|d)|scrypt|pbkdf2(?:-sha\d+)?|bcrypt)\$[^\s"'<>]{6,300}/,
  /\{(?:SSHA|SHA|SMD5|MD5|CRYPT|PBKDF2|ARGON2)\d*\}[A-Za-z0-9+/=$.]{12,200}/i,
  /\b(?:pbkdf2_sha\d+|bcrypt_sha256|scram-sha-256)\$[^\s"']{10,300}/i,
  // Keys in their own formats.
  /PRIVATE KEY(?: BLOCK)?-----|-----BEGIN OpenVPN Static key|BEGIN SSH2 ENCRYPTED PRIVATE KEY|PuTTY-User-Key-File-\d/,
  // Addresses that are keys themselves.
  /hooks\.slack(?:-gov)?\.com\/(?:services|workflows|triggers)\/[\w/-]{8,200}/i,
  /discord(?:app)?\.com\/api\/(?:v\d+\/)?webhooks\/\d{5,25}\/[\w-]{8,100}/i,
  /\.webhook\.office\.com\/webhookb2\/[\w@/-]{20,300}/i,
  /chat\.googleapis\.com\/v1\/spaces\/[^\s"']{1,100}[?&]key=/i,
  /\/services\/T[A-Z0-9]{4,12}\/B[A-Z0-9]{4,12}\/\w{16,40}/,
  /hooks\.zapier\.com\/hooks\/catch\/\d+\/\w{5,40}/i,
  /api\.telegram\.org\/bot\d+:/i,
  /\botpauth:\/\/[^\s"']{4,400}/i,
];

/** `scheme://user:password@host`; a port is no password. */
const PASSWORD_IN_URL = /\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/?#@:"'<>[]{0,256}:(?!\[redacted\]@|\d{1,5}(?:[/?#]|$))[^\s"'<>@]{0,512}@/i;
/** `https://token@host`, but for the names of users that everybody has. */
const TOKEN_IN_URL =
  /\b((?:https?|wss?|ftps?|mqtts?|amqps?|rediss?|nats|tls|hysteria2?|trojan|vless|ss|socks5h?):\/\/)(?!(?:\[redacted\]|git|user|admin|root|guest|anonymous|oauth2|x-access-token)@)[^\s/?#@:"'<>]{3,512}@/i;
const PARAMETER = /[?&#;]([\w.%[\]-]{1,64})=(?!\[redacted\])(?=[^&#\s"'<>])/g;
const SIGNING_PARAMETERS = new Set(['sig', 'signature', 'key', 'auth', 'code', 'sas', 'jwt', 'hmac', 'pw', 'session', 'sid']);
/** `user:password@host` without a scheme, as in `root:x@tcp(db)`. Not `image:tag@sha256:…`, nor `mailto:a@b`. */
const PASSWORD_BEFORE_HOST =
  /(?:^|[\s"'=,;(/])(?!(?:mailto|sips?|xmpp|acct|im|pres|smtp|tel):)[\w.+%-]{1,64}:(?!\/\/|\[redacted\]@)[^\s:@/"'<>]{3,128}@(?!sha\d)[\w.([-]/i;
const SIP = /\bsips?:[^\s:@"'<>]{1,128}:[^\s@"'<>]{2,128}@/i;
const WIFI_CODE = /\bWIFI:[^\s]{0,200}?P:[^;\s]/;
const ORACLE = /\b(?:jdbc:oracle:\w{1,10}:|sqlplus\s{1,9})[^\s/@]{1,64}\/[^\s@]{1,128}@/i;
const AUTHORIZATION =
  /\b(?:[Bb]earer|BEARER|[Bb]asic|[Dd]igest|[Nn]egotiate|(?<!--)[Tt]oken|[Bb]ot)\s{1,4}(?=[\w+/.~=-]{0,200}[\dA-Z=])[\w+/.~=-]{8,4000}/;
const AUTHORIZATION_HEADER =
  /\b(?:proxy-)?authorization["']?\s{0,4}[:=]\s{0,4}\S|\bset-cookie["']?\s{0,4}:|\bcookie["']?\s{0,4}:\s{0,4}\S/i;

/** Whether the name of a URL's parameter says that its value is secret. */
export type IsSecretName = (name: string) => boolean;

/** Every text with one of the shapes matches this. Most texts do not, which saves the other checks. */
const POSSIBLE =
  /[\w+/=.~-]{14}|-----|\$\w{1,12}\$|[:?&#;=]\S|@|\{S|\{M|KEY|[Bb]earer|BEARER|[Bb]asic|[Dd]igest|[Nn]egotiate|[Tt]oken|[Bb]ot|uthorization|sqlplus/;

export function hasSecretShape(text: string, isSecretName: IsSecretName): boolean {
  if (!POSSIBLE.test(text)) return false;
  if (MAY_HAVE_SHAPE.test(text) && SHAPES.some((shape) => shape.test(text))) return true;
  if (text.includes('@') && WITH_HOST.some((shape) => shape.test(text))) return true;
  if (WIFI_CODE.test(text) || isPrivateJwk(text)) return true;
  if (AUTHORIZATION.test(text) || AUTHORIZATION_HEADER.test(text)) return true;
  if (text.includes('://') && withoutPathTokens(text, '') !== text) return true;
  return hasParameters(text) && [...text.matchAll(PARAMETER)].some(([, name = '']) => isSigning(name) || isSecretName(name));
}

const MAY_HAVE_SHAPE = /[\w+/=.~-]{12}|-----|\$|\{|KEY|otpauth|Key/;
const WITH_HOST = [PASSWORD_IN_URL, TOKEN_IN_URL, PASSWORD_BEFORE_HOST, SIP, ORACLE];

/** Where the first secret begins in a line that has a secret shape; 0 where the line is a part of a key, or the place is not known. */
export function shapeStart(line: string): number {
  if (/PRIVATE KEY|BEGIN|PuTTY|"kty"/.test(line)) return 0;
  const starts = [...SHAPES, ...WITH_HOST, WIFI_CODE, AUTHORIZATION, AUTHORIZATION_HEADER].map((shape) => line.search(shape));
  const found = starts.filter((start) => start !== -1);
  if (found.length === 0) return 0;
  const start = Math.min(...found);
  // A shape may begin inside of a longer secret.
  return start - (/[\w+/.~-]{0,400}$/.exec(line.slice(Math.max(start - 400, 0), start))?.[0].length ?? 0);
}

/** A JSON Web Key with its private part. */
function isPrivateJwk(text: string): boolean {
  return text.includes('"kty"') && /"d"\s{0,9}:/.test(text);
}

const EVERYWHERE = [...SHAPES, PASSWORD_IN_URL].map((shape) => new RegExp(shape.source, `${shape.flags}g`));

/** Without the tokens that stand where no value does, such as in names. */
export function withoutShapes(text: string, instead: string): string {
  return EVERYWHERE.reduce((shown, shape) => shown.replace(shape, instead), text);
}

const URL_PATH = /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s/?#"'<>]{1,256}(?:\/[^\s/?#"'<>]{0,256}){1,16}/gi;

/** `https://things.example/api/v1/qBx7Tn0WzL4s/telemetry`: a part of a path that is a token. */
function withoutPathTokens(text: string, instead: string): string {
  return text.replace(URL_PATH, (url) => {
    const [scheme = '', empty = '', host = '', ...parts] = url.split('/');
    return [scheme, empty, host, ...parts.map((part) => (isToken(part, 16) ? instead : part))].join('/');
  });
}

/** Letters of both cases and digits that change so often that no words can be in them. */
export function isToken(text: string, minChars = 20): boolean {
  if (text.length < minChars || text.length > 256 || !/^[\w-]+$/.test(text) || !/\d/.test(text)) return false;
  if (!/[a-z]/.test(text) || !/[A-Z]/.test(text)) return false;
  const runs = text.match(/[A-Z]?[a-z]+|[A-Z]+|\d+/g) ?? [];
  return text.length / runs.length < MAX_RUN;
}

/** Runs of random letters have some two characters, words in `camelCase` five. */
const MAX_RUN = 2.6;

const URL_PASSWORD = /\b([a-z][a-z0-9+.-]{0,30}:\/\/[^\s/?#@:"'<>[\]]{0,256}:)(?!\d{1,5}(?:[/?#]|$))[^\s"'<>]{1,512}@/gi;
const URL_TOKEN = new RegExp(TOKEN_IN_URL.source, 'gi');
const URL_PARAMETER = /(?:([?&#]([\w.%[\]-]{1,64})=)[^&#\s"'<>]{1,4000}|(;([\w.%[\]-]{1,64})=)(?:\{[^}]{0,500}\}?|[^;"'<>]{1,4000}))/g;

/** Leaves the rest of each URL: `x://user:[redacted]@host/?sig=[redacted]`. */
export function withoutUrlSecrets(text: string, instead: string, isSecretName: IsSecretName): string {
  if (!hasParameters(text)) return text;
  const withHost = text.includes('@') ? text.replace(URL_PASSWORD, `$1${instead}@`).replace(URL_TOKEN, `$1${instead}@`) : text;
  const shown = withoutPathTokens(withHost, instead);
  return shown.replace(URL_PARAMETER, (whole, head1?: string, name1?: string, head2?: string, name2?: string) => {
    const name = name1 ?? name2 ?? '';
    return isSigning(name) || isSecretName(name) ? `${head1 ?? head2 ?? ''}${instead}` : whole;
  });
}

/** A signed query also stands without its address: `SharedAccessSignature sr=…&sig=…`. */
function hasParameters(text: string): boolean {
  return text.includes('://') || /[?&](?:sig|signature|x-amz-signature|hmac)=/i.test(text);
}

function isSigning(name: string): boolean {
  return SIGNING_PARAMETERS.has(name.toLowerCase());
}

const BASE64 = /^[A-Za-z0-9+/_-]{12,}={0,2}$/;
const MAX_DECODED_CHARS = 100_000;

/** The text that stands in base64 here, or null. */
export function textInBase64(text: string): string | null {
  const packed = text.replace(/\s+/g, '');
  if (packed.length > MAX_DECODED_CHARS || !BASE64.test(packed)) return null;
  const decoded = Buffer.from(packed, 'base64').toString('latin1');
  return /^[\t\n\r\x20-\x7e]{8,}$/.test(decoded) ? decoded : null;
}

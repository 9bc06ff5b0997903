import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allowedBy, messageOf } from '../errors.ts';
import { otherTransport } from './https-form.ts';
import { gitProblem } from './problems.ts';

export type HttpRemote = { kind: 'http'; url: URL; host: string };
export type LocalRemote = { kind: 'local'; path: string };
export type Remote = HttpRemote | LocalRemote;

export type RemoteRules = {
  /** Unencrypted http: others on the network can read and change credentials and content. */
  allowHttp: boolean;
  /** A repository on this machine, as an absolute path or a file:// URL. */
  allowLocal: boolean;
};

const OID = /^[0-9a-f]{40}$/;
/** Prefixes of the tokens of GitHub, GitLab, Bitbucket and Azure DevOps, and any text as long as a token. */
const TOKEN = /^(?:gh[a-z]_|github_pat_|gl[a-z]+-|ATBB|ATCTT|ATATT)|^[\w.~-]{40,}$/;
const AUTH_WAY = 'the source "auth": {"username": …, "password": …} or {"token": …}';
const MAX_URL_CHARACTERS = 2048;
const MAX_REF_CHARACTERS = 255;

/**
 * Parses the address of a repository and refuses an unsafe one: a transport that starts a program, or credentials inside. Removes a user name
 * without a password.
 * @throws Problem `invalid_url`
 */
export function parseRemote(url: string, rules: RemoteRules): Remote {
  refuseUnsafeText(url);
  if (isAbsolute(url)) return localRemote(url, url, rules);
  const other = otherTransport(url);
  if (other !== undefined) throw invalidUrl(url, other);
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed) throw invalidUrl(url, 'it is not a URL such as "https://git.example.com/group/name.git"');
  if (parsed.password) throw invalidUrl(url, `it holds a password; leave it out and give ${AUTH_WAY}`);
  if (TOKEN.test(parsed.username)) throw invalidUrl(url, `its user name looks like a token; leave it out and give ${AUTH_WAY}`);
  if (parsed.protocol === 'file:') return localRemote(url, localPath(url, parsed), rules);
  return httpRemote(url, parsed, rules);
}

/** Removes the user name that hosts put into clone addresses (`https://contoso@dev.azure.com/…`). The source's "auth" already names the user. */
export function withoutUserName(url: string): string {
  return url.replace(/^(https?:\/\/)[^/?#]*@/i, '$1');
}

export function isOid(text: string): boolean {
  return OID.test(text);
}

/**
 * Accepts a branch or tag (short), a full name below `refs/`, `HEAD`, or a commit id of 40 hex digits. The rules are those of `git check-ref-format`.
 * @returns the ref; a commit id in lower case, since Git reads ids in either case
 * @throws Problem `invalid_ref`
 */
export function checkRefName(ref: string): string {
  const fault = refFault(ref);
  if (fault) throw gitProblem('invalid_ref', `Cannot use "${shown(ref)}" as a ref: ${fault}`);
  return isOid(ref.toLowerCase()) ? ref.toLowerCase() : ref;
}

function refuseUnsafeText(url: string): void {
  if (url === '') throw invalidUrl(url, 'it is empty');
  if (url.length > MAX_URL_CHARACTERS) throw invalidUrl(url, `it has ${url.length} characters, must be at most ${MAX_URL_CHARACTERS}`);
  if (/[\p{Cc}\s]/u.test(url)) throw invalidUrl(url, 'it has white space or control characters; write a space as %20');
  if (url.startsWith('-')) throw invalidUrl(url, 'it starts with "-", like an option');
  if (url.includes('\\')) throw invalidUrl(url, 'it has a backslash');
  if (/^[a-z0-9+.-]+::/i.test(url)) throw invalidUrl(url, 'remote helpers ("name::") are not supported');
}

function httpRemote(url: string, parsed: URL, rules: RemoteRules): HttpRemote {
  const name = parsed.protocol.slice(0, -1);
  if (name !== 'https' && name !== 'http') throw invalidUrl(url, `the scheme is "${name}", must be "https"`);
  if (name === 'http' && !rules.allowHttp)
    throw invalidUrl(url, `the scheme is "http", must be "https"; ${allowedBy('ALLOW_HTTP_GIT_HOSTS')}`);
  if (url.includes('?')) throw invalidUrl(url, 'it has a query string');
  if (url.includes('#')) throw invalidUrl(url, 'it has a fragment');
  if (!parsed.hostname) throw invalidUrl(url, 'it has no host');
  if (parsed.pathname === '/') throw invalidUrl(url, 'it has no path to a repository');
  // The check needs the original text, since a parsed URL has already resolved "%2e%2e".
  if (/%(?:[01][0-9a-f]|2e|2f|5c|7f)|\/\.\.?(?:\/|$)/i.test(url))
    throw invalidUrl(url, 'its path has a dot segment or an encoded separator or control character');
  parsed.username = '';
  return { kind: 'http', url: parsed, host: parsed.host };
}

function localRemote(url: string, path: string, rules: RemoteRules): LocalRemote {
  if (!rules.allowLocal) throw invalidUrl(url, `it is a path on the machine of this service; ${allowedBy('ALLOW_LOCAL_SOURCES')}`);
  return { kind: 'local', path };
}

function localPath(url: string, parsed: URL): string {
  try {
    return fileURLToPath(parsed);
  } catch (error) {
    throw invalidUrl(url, messageOf(error));
  }
}

function refFault(ref: string): string | undefined {
  if (ref === '') return 'it is empty';
  if (ref.length > MAX_REF_CHARACTERS) return `it has ${ref.length} characters, must be at most ${MAX_REF_CHARACTERS}`;
  if (ref.startsWith('-')) return 'it starts with "-"';
  if (ref === '@') return '"@" alone is not a name';
  if (/\p{Cc}/u.test(ref)) return 'it has a control character';
  // The database keeps half of a surrogate pair as U+FFFD, which would refuse the stored ref at the next change of the source.
  const forbidden = /[ ~^:?*[\\]|\.\.|@\{|\/\/|\u{fffd}/u.exec(ref.toWellFormed());
  if (forbidden) return `it has "${forbidden[0]}"`;
  if (ref.startsWith('/') || ref.endsWith('/')) return 'it starts or ends with "/"';
  if (ref.endsWith('.')) return 'it ends with "."';
  for (const part of ref.split('/')) {
    if (part.startsWith('.')) return `its part "${part}" starts with "."`;
    if (part.endsWith('.lock')) return `its part "${part}" ends with ".lock"`;
  }
  return undefined;
}

function invalidUrl(url: string, why: string) {
  return gitProblem('invalid_url', `Cannot use "${shown(url)}" as a repository URL: ${why}`);
}

/** Removes a possible password and characters that would break the line. */
function shown(text: string): string {
  const clean = text
    .replace(/\p{Cc}/gu, '?')
    .replace(/^([a-z0-9+.-]+:\/\/)[^/]*@/i, '$1***@')
    .replace(/^(?!git@)[^/@]*@/, '***@')
    .replace(/\?.*$/, '?***');
  return clean.length > 200 ? `${clean.slice(0, 200)}…` : clean;
}

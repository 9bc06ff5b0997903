import { SSH_HOSTS } from '../../git/https-form.ts';
import type { HookRepository } from './provider.ts';

/** The repository that a source follows: its URL, and the host's id for it after a hook has named both. */
export type KnownRepository = { url: string; id: string | null };

/**
 * `same`: the address matches, or the hook names no address and its host id matches. `renamed`: the address differs, but the host's id matches.
 * `unknown`: the hook or the source has no address to compare.
 */
export type RepositoryVerdict = 'same' | 'renamed' | 'other' | 'unknown';

/** Compares the repository of a hook with that of a source. It normalises addresses, since hosts and users write one repository in many ways. */
export function compareRepository(known: KnownRepository, hook: HookRepository | undefined): RepositoryVerdict {
  const ours = addressOf(known.url);
  if (ours === null || hook === undefined) return 'unknown';
  const theirs = hook.urls.map(addressOf).filter((address) => address !== null);
  if (theirs.some((address) => isSame(ours, address))) return 'same';
  const hasKnownId = known.id !== null && hook.id === known.id;
  if (theirs.length === 0) {
    if (hook.path === undefined) return hasKnownId ? 'same' : 'unknown';
    // Some senders put the host in front of the path.
    if (`/${ours.host}/${ours.path}`.endsWith(`/${normalPath(hook.path)}`)) return 'same';
  }
  return hasKnownId ? 'renamed' : 'other';
}

type Address = { host: string; port: string; path: string; isSsh: boolean };

/** Ports are compared only within one protocol: SSH and HTTP have different ones. */
function isSame(a: Address, b: Address): boolean {
  return a.host === b.host && a.path === b.path && (a.port === b.port || a.isSsh !== b.isSsh);
}

/** `user@host:group/name.git`, without a scheme. */
const SCP = /^(?:[^/@\s]+@)?(?<host>[^/:@\s]+|\[[^\]]+\]):(?!\/\/|:)(?<path>[^\s].*)$/;

/** Returns null for a text that names no repository of a host, such as a local path. */
function addressOf(text: string): Address | null {
  const scp = SCP.exec(text);
  const url = URL.parse(scp === null ? text : `ssh://${scp.groups?.host}/${scp.groups?.path}`);
  if (url === null || url.hostname === '' || !/^(?:https?|ssh|git):$/.test(url.protocol)) return null;
  const isSsh = url.protocol === 'ssh:';
  const port = isSsh || url.port === (url.protocol === 'git:' ? '9418' : '') ? '' : url.port;
  return azure({ host: normalHost(asciiHost(url.hostname)), port, path: normalPath(decoded(url.pathname)), isSsh });
}

/** Normalises a host name as HTTP URLs do. URL parsing leaves the host of SSH URLs as written, or percent-encodes it. */
function asciiHost(hostname: string): string {
  return URL.parse(`http://${hostname}`)?.hostname ?? hostname;
}

function normalHost(hostname: string): string {
  const host = hostname
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^www\./, '');
  return /^(?:127\.\d+\.\d+\.\d+|\[::1\])$/.test(host) ? 'localhost' : (SSH_HOSTS[host] ?? host);
}

/** The hosts that send hooks do not distinguish paths by case. */
function normalPath(path: string): string {
  const plain = path
    .normalize('NFC')
    .toLowerCase()
    .replace(/\/{2,}/g, '/')
    .replace(/^\/|\/$/g, '');
  return plain.replace(/\.git$/, '').replace(/\/$/, '');
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/**
 * Azure DevOps has three addresses of one repository: `dev.azure.com/org/project/_git/name`, `org.visualstudio.com/…`, `v3/org/project/name`.
 * A project's first repository has the project's name, which an address may then omit. This holds for Azure DevOps Server, too, where the path
 * in front of it can have any length.
 */
function azure(address: Address): Address {
  const { host, path } = address;
  const [, organization] = /^([^.]+)\.visualstudio\.com$/.exec(host) ?? [];
  if (organization !== undefined)
    return azure({ ...address, host: 'dev.azure.com', path: `${organization}/${path.replace(/^defaultcollection\//, '')}` });
  if (host !== 'dev.azure.com') return { ...address, path: path.replace(/(^|\/)([^/]+)(?:\/\2)*\/_git\/\2$/, '$1_git/$2') };
  const whole = path.replace(/^v3\/([^/]+)\/([^/]+)\/([^/]+)$/, '$1/$2/_git/$3');
  return { ...address, path: whole.replace(/^([^/]+)\/_git\/([^/]+)$/, '$1/$2/_git/$2') };
}

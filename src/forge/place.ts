import type { Config } from '../config.ts';
import { allowedBy, invalid } from '../errors.ts';
import { parseRemote } from '../git/remote.ts';
import { FORGE_KINDS, type ForgeKind, type ForgeSettings } from '../source/forge-settings.ts';
import type { Source } from '../source/source.ts';
import type { ForgeHost, Repository } from './host.ts';
import { forgeProblem } from './problems.ts';

/** The location of a source's repository in its host's API. */
export type ForgePlace = { host: ForgeHost; apiUrl: URL; repository: Repository };

type PlacedSource = Pick<Source, 'name' | 'url' | 'forge' | 'webhookProvider'>;
type Rules = Pick<Config, 'ALLOW_HTTP_GIT_HOSTS' | 'ALLOW_LOCAL_SOURCES'>;

/**
 * Derives the location from the source's settings and URL, without a request. Without `forge`, the kind is that of the source's webhook, else the
 * one in the host's name.
 * @throws Problem `forge_unsupported` for a path on this machine, a host of an unknown kind, or a URL that is no repository there
 */
export function placeOf(source: PlacedSource, hosts: Readonly<Record<ForgeKind, ForgeHost>>, rules: Rules): ForgePlace {
  const remote = parseRemote(source.url, { allowHttp: rules.ALLOW_HTTP_GIT_HOSTS, allowLocal: rules.ALLOW_LOCAL_SOURCES });
  if (remote.kind === 'local') throw unsupported(source, 'it is a path on this machine');
  const kind = kindOf(source, remote.url.hostname);
  const host = hosts[kind];
  const apiUrl = new URL(source.forge?.apiUrl ?? host.knownApis?.[remote.url.hostname] ?? remote.url.origin + host.apiPath);
  const path = repositoryPath(remote.url, installationPath(apiUrl, host.apiPath, remote.url.origin));
  if (!isRepositoryPath(path, host.pathSegments))
    throw unsupported(source, `"${remote.url.pathname}" is not the path of a repository there`);
  return { host, apiUrl, repository: { path, webUrl: remote.url.href.replace(/\/+$/, '').replace(/\.git$/, ''), kind } };
}

/** @throws Problem `invalid_request` for an address to which the service cannot or must not send requests */
export function checkApiUrl(settings: ForgeSettings, rules: Rules): void {
  if (settings.apiUrl === undefined) return;
  const url = new URL(settings.apiUrl);
  const refuse = (why: string) => invalid(`Cannot use this forge.apiUrl: ${why}`, [{ pointer: '/forge/apiUrl', detail: why }]);
  if (url.username || url.password) throw refuse('it contains credentials; set them in "apiToken"');
  if (url.search || url.hash) throw refuse('it has a query string or a fragment');
  if (url.protocol === 'http:' && !rules.ALLOW_HTTP_GIT_HOSTS)
    throw refuse(`the scheme is "http", must be "https"; ${allowedBy('ALLOW_HTTP_GIT_HOSTS')}`);
}

/** Whether the service would send the source's credentials to another origin than its repository's. */
export function leavesOrigin(source: Pick<Source, 'url' | 'forge'>): boolean {
  const { forge, url } = source;
  return forge?.apiUrl !== undefined && URL.parse(url)?.origin !== new URL(forge.apiUrl).origin;
}

function kindOf(source: PlacedSource, hostname: string): ForgeKind {
  const known = source.forge?.kind ?? FORGE_KINDS.find((kind) => kind === source.webhookProvider) ?? kindOfName(hostname);
  if (known !== undefined) return known;
  const kinds = FORGE_KINDS.map((kind) => `"${kind}"`).join(', ');
  throw unsupported(source, `the kind of git host "${hostname}" is not known; set "forge" to {"kind": …}, one of ${kinds}`);
}

const PUBLIC_HOSTS: Readonly<Record<string, ForgeKind>> = { 'codeberg.org': 'forgejo' };

/** Most host names contain the kind: gitlab.example.com, git-gitea.example.com. */
function kindOfName(hostname: string): ForgeKind | undefined {
  return PUBLIC_HOSTS[hostname] ?? FORGE_KINDS.find((kind) => hostname.split(/[.-]/).includes(kind));
}

/** The path at which the host is installed, '' for its root. Derived from the API's address if that has the repository's origin. */
function installationPath(apiUrl: URL, apiPath: string, origin: string): string {
  const path = apiUrl.pathname.replace(/\/+$/, '');
  return apiUrl.origin === origin && path.endsWith(apiPath) ? path.slice(0, -apiPath.length) : '';
}

/** Returns the decoded path; '' if it cannot be decoded. */
function repositoryPath(url: URL, installation: string): string {
  const path = url.pathname.startsWith(`${installation}/`) ? url.pathname.slice(installation.length) : url.pathname;
  try {
    return decodeURIComponent(path.replace(/^\/+|\/+$/g, '').replace(/\.git$/, ''));
  } catch {
    return '';
  }
}

/** Dot segments ("a/...git") would lead to another endpoint of the API. */
function isRepositoryPath(path: string, { min, max }: { min: number; max: number }): boolean {
  const segments = path.split('/');
  return segments.length >= min && segments.length <= max && !segments.some((segment) => ['', '.', '..'].includes(segment));
}

function unsupported({ name }: PlacedSource, why: string) {
  return forgeProblem('forge_unsupported', `Cannot call the API of the git host of source "${name}": ${why}`);
}

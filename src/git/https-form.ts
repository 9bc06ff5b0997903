/** Maps the SSH names of hosts to their HTTPS names, where the two differ. */
export const SSH_HOSTS: Readonly<Record<string, string>> = {
  'ssh.github.com': 'github.com',
  'altssh.gitlab.com': 'gitlab.com',
  'altssh.bitbucket.org': 'bitbucket.org',
  'ssh.dev.azure.com': 'dev.azure.com',
  'vs-ssh.visualstudio.com': 'dev.azure.com',
};

/** `host.example/group/name`, optionally with a port, as a browser accepts it. */
const BARE = /^(?:[^/:@]*@)?(?<host>[a-z0-9-]+(?:(?:\.[a-z0-9-]+)+(?::\d+)?|:\d+))\/(?<path>.+)$/i;
/** `user@host:group/name.git`, as SSH and SCP write it. */
const SCP = /^(?:[^/@]+@)?(?<host>\[[^\]]+\]|[^/:@]+):(?!\/\/|:)(?<path>.+)$/;
const TRANSPORTS: Readonly<Record<string, string>> = {
  'ssh:': 'SSH',
  'git+ssh:': 'SSH',
  'ssh+git:': 'SSH',
  'sftp:': 'SSH',
  'git:': 'the git protocol, which is not encrypted',
  'ftp:': 'FTP',
  'ftps:': 'FTP',
  'rsync:': 'rsync',
};

/**
 * Explains why Bellwether cannot read an address that Git or people use, and suggests the `https://` address at which most hosts serve the same
 * repository. The text never repeats a possible user name, password or query.
 * @returns undefined when the address is of no such kind
 */
export function otherTransport(text: string): string | undefined {
  const bare = BARE.exec(text)?.groups;
  if (bare) return `it has no scheme${useInstead(bare.host, bare.path)}`;
  const scp = isScp(text) ? SCP.exec(text)?.groups : undefined;
  if (scp) return `repositories are not read over SSH${useInstead(scp.host, scp.path)}`;
  const url = URL.parse(text);
  if (url === null) return undefined;
  if (/^git\+https?:$/.test(url.protocol)) return `it is an address for package managers${useInstead(url.host, url.pathname)}`;
  const transport = TRANSPORTS[url.protocol];
  return transport && `repositories are not read over ${transport}${useInstead(url.hostname, url.pathname, url.port)}`;
}

/** A drive ("C:/a") or a scheme ("data:a/b") is not a host. */
function isScp(text: string): boolean {
  if (/^[^/:@]+@/.test(text) || /^\[/.test(text)) return true;
  return (
    /^(?:[^/:@]+\.[^/:@]+:|[^/:@.]{2,}:[^@]*\/)/.test(text) &&
    !/^(?:data|javascript|mailto|blob|urn|about|[a-z0-9+.-]+:\/\/|file|https?):?/i.test(text)
  );
}

/** The SSH port does not determine the HTTPS port, so the callers for SSH pass a `host` without a port. */
function useInstead(host = '', path = '', port = ''): string {
  const name = SSH_HOSTS[host.toLowerCase()] ?? host;
  const url = URL.parse(`https://${name}`);
  const segments = path
    .replace(/[?#].*$/, '')
    .split('/')
    .filter(Boolean);
  // The text before an "@" may be a password.
  if (url === null || segments.length === 0 || path.includes('@')) return '; use its https:// address';
  const [version, organization, project, repository] = segments;
  const isAzure = name === 'dev.azure.com' && version === 'v3' && repository !== undefined;
  // Bitbucket Data Center serves SSH at this port, and HTTPS below /scm.
  const isBitbucket = port === '7999' && version !== 'scm';
  url.pathname = (isAzure ? [organization, project, '_git', repository] : isBitbucket ? ['scm', ...segments] : segments).join('/');
  return `; use "${url.href}"`;
}

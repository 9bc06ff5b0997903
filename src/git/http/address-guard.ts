import { BlockList, isIP } from 'node:net';
import { allowedBy } from '../../errors.ts';
import type { Proxies } from '../../wire/proxies.ts';
import { gitProblem } from '../problems.ts';

/** Decides to which addresses a connection may be made. One guard owns one connection pool; see `closeConnections`. */
export type AddressGuard = {
  /** The proxies for requests to external hosts. */
  readonly proxies: Proxies | undefined;
  /** @throws Problem `address_refused` when `address`, to which `host` resolved, is not allowed */
  check(address: string, host: string): void;
};

/** Networks of an organization and of this machine. The guard refuses them unless `allowPrivate` is set. */
const PRIVATE = blockList(
  // RFC 1918, RFC 6598 (carrier NAT), RFC 1122 (loopback)
  ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '127.0.0.0/8'],
  // loopback, RFC 4193 (unique local)
  ['::1/128', 'fc00::/7'],
);

/** Networks without Git hosts: link-local (with the clouds' metadata services), unspecified, multicast, reserved, documentation, embedded IPv4. */
const NEVER = blockList(
  [
    '0.0.0.0/8',
    '169.254.0.0/16',
    '192.0.0.0/24',
    '192.0.2.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
  ],
  // Alibaba's metadata service is in the carrier range, Amazon's IPv6 one in the unique local range.
  [
    '::/128',
    'fe80::/10',
    'fec0::/10',
    'ff00::/8',
    '64:ff9b::/96',
    '64:ff9b:1::/48',
    '2001::/32',
    '2001:db8::/32',
    '2002::/16',
    'fd00:ec2::/32',
  ],
);
NEVER.addAddress('100.100.100.200', 'ipv4');

/** The setting that decides `allowPrivate`, for the error text. */
type PrivateSetting = 'ALLOW_PRIVATE_GIT_HOSTS' | 'ALLOW_PRIVATE_INTEGRATION_HOSTS' | 'ALLOW_PRIVATE_NOTIFICATION_HOSTS';

export function addressGuard(options: { allowPrivate: boolean; setting?: PrivateSetting; proxies?: Proxies | undefined }): AddressGuard {
  const { allowPrivate, setting = 'ALLOW_PRIVATE_GIT_HOSTS' } = options;
  return {
    proxies: options.proxies,
    check(address, host) {
      const why = refusal(address, allowPrivate, setting);
      if (why) throw gitProblem('address_refused', `Cannot connect to "${host}": its address ${address} is ${why}`);
    },
  };
}

function refusal(address: string, allowPrivate: boolean, setting: PrivateSetting): string | undefined {
  // Only link-local addresses have a zone ("fe80::1%eth0").
  const bare = address.replace(/%.*$/, '');
  const version = isIP(bare);
  if (version === 0) return 'not an IP address';
  const family = version === 4 ? 'ipv4' : 'ipv6';
  if (NEVER.check(bare, family)) return 'reserved, link-local or a metadata service, which no setting allows';
  if (!allowPrivate && PRIVATE.check(bare, family)) return `private or this machine; ${allowedBy(setting)}`;
  return undefined;
}

/** BlockList checks IPv4-mapped IPv6 addresses against the IPv4 rules by itself. */
function blockList(ipv4: string[], ipv6: string[]): BlockList {
  const list = new BlockList();
  for (const [family, ranges] of [
    ['ipv4', ipv4],
    ['ipv6', ipv6],
  ] as const) {
    for (const range of ranges) {
      const [network = '', bits] = range.split('/');
      list.addSubnet(network, Number(bits), family);
    }
  }
  return list;
}

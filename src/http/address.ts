import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import type { KitContext } from './kit.ts';

/** Returns the client's address: the connection's, or the one that a trusted proxy names. */
export function addressOf(c: KitContext, trustProxy: boolean): string {
  return addressOfRequest(c.env.incoming, trustProxy);
}

/** Does the same for requests that Hono does not answer, such as those of Socket.IO. */
export function addressOfRequest(request: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy
    ? String(request.headers['x-forwarded-for'] ?? '')
        .split(',')
        .map((part) => withoutPort(part.trim()))
        .findLast((part) => part !== '')
    : undefined;
  // A proxy may append a name. Only addresses have a bounded length and are safe as keys.
  if (forwarded !== undefined && isIP(forwarded) !== 0) return forwarded;
  return request.socket.remoteAddress ?? 'unknown';
}

/** Azure's Application Gateway and IIS append the client's port: `203.0.113.7:51234`, `[2001:db8::1]:51234`. */
function withoutPort(text: string): string {
  const bare = text.replace(/^"(.*)"$/, '$1');
  return /^\[([^\]]+)\](?::\d+)?$/.exec(bare)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(bare)?.[1] ?? bare;
}

/** Returns the sender for rate limits: an IPv4 address, or the /64 network of an IPv6 address, within which one host chooses freely. */
export function senderOf(c: KitContext, trustProxy: boolean): string {
  return networkOf(addressOf(c, trustProxy));
}

export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [left = '', right] = (address.split('%')[0] ?? '').split('::');
  const [head, tail] = [groupsOf(left), groupsOf(right ?? '')];
  const zeros = right === undefined ? 0 : 8 - head.length - tail.length;
  const groups = [...head, ...Array<string>(Math.max(0, zeros)).fill('0'), ...tail];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}

/** Groups of 16 bits. An IPv4 address at the end counts as two zero groups: its value lies outside of the first 64 bits. */
function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':').flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]));
}

import type { Limits } from '../limits.ts';
import { gitProblem } from '../problems.ts';
import { line, packets, remoteError } from './pkt-line.ts';

/** `shallow`: commits whose parents the pack omits; `unshallow`: commits whose parents are now present. */
export type FetchedPack = { pack: Buffer; shallow: string[]; unshallow: string[] };

/**
 * Parses the answer of both versions: lines about shallow commits and acknowledgements, then the pack on channel 1 of the side band.
 * @throws Problem `git_protocol`, `git_too_large`, and as `remoteError` for an error packet
 */
export function parseFetched(body: Buffer, limits: Limits, where: string): FetchedPack {
  const result = { shallow: [] as string[], unshallow: [] as string[] };
  const parts: Buffer[] = [];
  for (const payload of packets(body, where)) {
    if (!Buffer.isBuffer(payload)) continue;
    if (payload[0] === 1) parts.push(payload.subarray(1));
    else if (payload[0] === 3) throw remoteError(payload.toString('utf8', 1), where);
    else if (payload[0] !== 2) {
      const [word, oid = ''] = line(payload).split(' ');
      if (word === 'shallow' || word === 'unshallow') result[word].push(oid);
    }
  }
  if (parts.length === 0) throw gitProblem('git_protocol', `Cannot read "${where}": the answer has no pack`);
  const pack = Buffer.concat(parts);
  if (pack.length > limits.maxPackBytes)
    throw gitProblem(
      'git_too_large',
      `Cannot accept a pack of ${pack.length} bytes from "${where}", must be at most ${limits.maxPackBytes}`,
    );
  return { pack, ...result };
}

import { gitRequest, type RunningCall } from '../http/client.ts';
import { foreignText, gitProblem } from '../problems.ts';
import type { HttpRemote } from '../remote.ts';
import { barePacket, FLUSH, line, packets, remoteError } from './pkt-line.ts';
import { advertisedLines, MAX_REFS_BYTES, type Protocol, parseAdvertisement } from './protocol.ts';

/** The sending side of gitprotocol-pack(5) and gitprotocol-http(5), limited to the creation of one ref. */

const SERVICE = 'git-receive-pack';
const ZERO_OID = '0'.repeat(40);
const MAX_REPORT_BYTES = 1024 * 1024;

/** The outcome for the ref. `why` is the host's reason on one line, with the output of its hooks. */
export type PushReport = { created: true } | { created: false; why: string };

/** `at`: the repository's address after all redirects. */
type PushAdvertisement = Protocol & { version: 0 } & { at: HttpRemote };

/**
 * Requests the remote's refs and checks that it accepts pushes.
 * @throws Problem as `gitRequest`, `git_push_denied`, `git_unsupported`
 */
export async function listRefsForPush(remote: HttpRemote, call: RunningCall): Promise<PushAdvertisement> {
  const ask = { method: 'GET', path: `/info/refs?service=${SERVICE}`, headers: {}, maxBytes: MAX_REFS_BYTES, pushes: true } as const;
  const { lines, at } = await advertisedLines(remote, ask, call);
  const service = lines.shift() ?? '';
  if (service !== `# service=${SERVICE}`)
    throw gitProblem(
      'git_unsupported',
      `Cannot push to "${remote.url.href}": the host answered "${foreignText(service)}", must be the service "${SERVICE}"`,
    );
  const found = parseAdvertisement(remote, lines);
  if (!found.capabilities.has('report-status'))
    throw gitProblem('git_unsupported', `Cannot push to "${remote.url.href}": the host lacks the capability "report-status"`);
  return { ...found, at };
}

/**
 * Requests the creation of one ref; the host refuses if the ref exists.
 * @throws Problem as `gitRequest`, `git_push_denied`; the host may have created the ref nevertheless
 */
export async function createRef(
  remote: HttpRemote,
  capabilities: Set<string>,
  created: { ref: string; oid: string; pack: Buffer },
  call: RunningCall,
): Promise<PushReport> {
  const wished = ['report-status', 'side-band-64k', 'quiet'].filter((name) => capabilities.has(name)).join(' ');
  // Git itself ends this packet without a line feed.
  const command = barePacket(`${ZERO_OID} ${created.oid} ${created.ref}\0 ${wished}`);
  const body = Buffer.concat([Buffer.from(command + FLUSH), created.pack]);
  const headers = { 'content-type': `application/x-${SERVICE}-request`, accept: `application/x-${SERVICE}-result` };
  const ask = { method: 'POST', path: `/${SERVICE}`, headers, body, maxBytes: MAX_REPORT_BYTES, pushes: true } as const;
  const answer = await gitRequest(remote, ask, call);
  const where = remote.url.href;
  if (!capabilities.has('side-band-64k')) return parseReport(answer, created.ref, '', where);
  const { report, messages } = splitSideBand(answer, where);
  return parseReport(report, created.ref, messages, where);
}

function splitSideBand(answer: Buffer, where: string): { report: Buffer; messages: string } {
  const report: Buffer[] = [];
  const messages: Buffer[] = [];
  for (const payload of packets(answer, where)) {
    if (!Buffer.isBuffer(payload)) continue;
    if (payload[0] === 1) report.push(payload.subarray(1));
    else if (payload[0] === 2) messages.push(payload.subarray(1));
    else if (payload[0] === 3) throw remoteError(payload.toString('utf8', 1), where);
  }
  return { report: Buffer.concat(report), messages: foreignText(Buffer.concat(messages).toString('utf8')) };
}

/** report-status: "unpack ok" or "unpack <reason>", then "ok <ref>" or "ng <ref> <reason>". */
function parseReport(report: Buffer, ref: string, messages: string, where: string): PushReport {
  const lines: string[] = [];
  for (const payload of packets(report, where)) if (Buffer.isBuffer(payload)) lines.push(line(payload));
  const unpacked = lines.find((text) => text.startsWith('unpack '))?.slice('unpack '.length);
  const refused = lines.find((text) => text.startsWith(`ng ${ref} `))?.slice(`ng ${ref} `.length);
  if (unpacked === 'ok' && lines.includes(`ok ${ref}`)) return { created: true };
  if (unpacked === undefined || (unpacked === 'ok' && refused === undefined))
    throw gitProblem('git_protocol', `Cannot push to "${where}": the host's report has no outcome for "${ref}"`);
  const reason = foreignText(unpacked === 'ok' ? (refused ?? '') : unpacked);
  return { created: false, why: messages ? `${reason} (${messages})` : reason };
}

import { foreignText, gitProblem, signInProblem } from '../problems.ts';

/** Packets of Git's wire protocol (gitprotocol-common(5)): four hex digits of length, themselves included, then the payload. */
export type Packet = Buffer | 'flush' | 'delimiter' | 'end';

export const FLUSH = '0000';
export const DELIMITER = '0001';
const SPECIAL: Record<number, Packet> = { 0: 'flush', 1: 'delimiter', 2: 'end' };

export function packet(text: string): string {
  return barePacket(`${text}\n`);
}

/** Omits the line feed that `packet` appends. */
export function barePacket(text: string): string {
  return (Buffer.byteLength(text) + 4).toString(16).padStart(4, '0') + text;
}

/**
 * Yields the packets of a complete answer.
 * @throws Problem `git_auth` for a web page, `git_protocol` for an empty, truncated or malformed answer, and as `remoteError` for an ERR packet
 */
export function* packets(body: Buffer, where: string): Generator<Packet> {
  if (body.length === 0) throw gitProblem('git_protocol', `Cannot read "${where}": the host's answer is empty`);
  let at = 0;
  while (at < body.length) {
    const digits = body.toString('latin1', at, at + 4);
    const length = /^[0-9a-f]{4}$/i.test(digits) ? Number.parseInt(digits, 16) : 3;
    const special = SPECIAL[length];
    if (special) {
      at += 4;
      yield special;
      continue;
    }
    if (length < 4 && /^\s*<(?:!doctype|html)/i.test(body.toString('latin1', at, at + 100)))
      throw signInProblem(`"${where}"`, 'the host answered with a web page');
    if (length < 4)
      throw gitProblem(
        'git_protocol',
        `Cannot read "${where}": the answer is not Git's protocol, it begins with "${foreignText(body.toString('utf8', at, at + 40))}"`,
      );
    if (at + length > body.length) throw gitProblem('git_protocol', `Cannot read "${where}": the answer breaks off`);
    const payload = body.subarray(at + 4, at + length);
    if (payload.toString('latin1', 0, 4) === 'ERR ') throw remoteError(payload.toString('utf8', 4), where);
    at += length;
    yield payload;
  }
}

export function line(payload: Buffer): string {
  return payload.toString('utf8').replace(/\n$/, '');
}

/**
 * Phrases of Git, GitLab, Gitea, Bitbucket and Azure DevOps; the first match counts. Hosts that hide a repository report "not found" and missing
 * rights in one sentence, so `git_not_found` precedes `git_auth`.
 */
const REMOTE_ERRORS = [
  [/not our ref|unadvertised object|no such (?:remote )?ref|bad object|not valid/i, 'commit_missing'],
  [/not found|not be found|not exported|does not exist/i, 'git_not_found'],
  [/rate[ -]?limit|too many requests/i, 'git_rate_limited'],
  [/due to load|overloaded|try again|maintenance|temporarily|unavailable|timed? ?out/i, 'git_server_error'],
  [/access denied|permission|not allowed|unauthori[sz]ed|forbidden|authenticat/i, 'git_auth'],
] as const;

/** Maps a host's text in an ERR packet or on the error channel of the side band to an error code. */
export function remoteError(text: string, where: string) {
  const reason = foreignText(text);
  const code = REMOTE_ERRORS.find(([phrase]) => phrase.test(reason))?.[1] ?? 'git_protocol';
  if (code === 'commit_missing') return gitProblem(code, `Cannot fetch from "${where}": ${reason}`);
  if (code === 'git_not_found') return gitProblem(code, `Cannot read "${where}": ${reason}`);
  const advice = code === 'git_auth' ? "; check the source's credentials" : '';
  return gitProblem(code, `Cannot read "${where}": the host reported "${reason}"${advice}`);
}

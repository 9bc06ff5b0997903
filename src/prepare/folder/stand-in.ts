import { configError } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';

/** A file in Git whose content is elsewhere, or is encrypted for people. A device cannot use it. */
type StandIn = { code: 'lfs_pointer' | 'stand_in'; rule: string; detail: string; matches(start: string, size: number): boolean };

/** The specification of Git LFS: a pointer has less than 1024 bytes. */
const MAX_POINTER_BYTES = 1024;
const START_BYTES = 256;

const STAND_INS: readonly StandIn[] = [
  {
    code: 'lfs_pointer',
    rule: 'lfs',
    detail: 'is a Git LFS pointer, whose content is not in the repository: commit the file itself',
    // The names before version 1 are in the specification, too; a checkout on Windows may have committed CRLF.
    matches: (start, size) =>
      size < MAX_POINTER_BYTES &&
      /^version https?:\/\/(?:git-lfs\.github\.com|hawser\.github\.com|git-media\.io)\/\S+\r?\n(?:ext-\d|oid )/.test(start),
  },
  {
    code: 'stand_in',
    rule: 'annex',
    detail: 'is a git-annex pointer, whose content is not in the repository: commit the file itself',
    matches: (start) => /^\/annex\/objects\/[A-Z0-9]+E?-\S+/.test(start),
  },
  {
    code: 'stand_in',
    rule: 'git_crypt',
    detail: 'is encrypted by git-crypt, which no device can decrypt: commit the file as it is, or encrypt its values with SOPS',
    matches: (start) => start.startsWith('\0GITCRYPT\0'),
  },
];

/** null for a file that holds its own content. */
export function standInError(bytes: Uint8Array, file: string): ConfigError | null {
  const start = Buffer.from(bytes.subarray(0, START_BYTES)).toString('latin1');
  const found = STAND_INS.find(({ matches }) => matches(start, bytes.length));
  if (found === undefined) return null;
  const { code, rule, detail } = found;
  return configError({ code, file, line: 1, rule, detail });
}

import type { TreeEntry } from './object-source.ts';

/** A fault in a folder that must not reach a device. */
export type TreeFault = {
  /** From the root of the repository. */
  path: string;
  rule: TreeRule;
  /** The other path of a `case_duplicate`. */
  twin?: string;
  /** One line for people. */
  detail: string;
};

export type TreeRule =
  | 'not_utf8'
  | 'empty_name'
  | 'dot_name'
  | 'git_name'
  | 'separator'
  | 'control_character'
  | 'invisible_character'
  | 'too_long'
  | 'duplicate'
  | 'case_duplicate'
  | 'symlink'
  | 'submodule'
  | 'unreadable'
  | 'too_deep';

/** NAME_MAX of the common file systems. */
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 1024;

/**
 * Returns all faults in the names and modes of one directory. It never throws, so that a hostile folder affects only itself.
 * @param prefix path of the directory, '' for the root
 */
export function checkEntry(entries: TreeEntry[], prefix: string): TreeFault[] {
  const faults: TreeFault[] = [];
  const names = new Map<string, string>();
  for (const entry of entries) {
    const path = joinPath(prefix, entry.name);
    const report = (rule: TreeRule, detail: string): void =>
      void faults.push({ path, rule, detail: `Cannot accept ${JSON.stringify(path)}: ${detail}` });
    nameFault(entry, path, report);
    modeFault(entry, report);
    const folded = foldName(entry.name);
    const other = names.get(folded);
    if (other === entry.name) report('duplicate', 'the name appears twice');
    else if (other !== undefined)
      faults.push({ path, rule: 'case_duplicate', twin: joinPath(prefix, other), detail: caseDuplicate(path, other) });
    names.set(folded, entry.name);
  }
  return faults;
}

/** Folds a name: the file systems of macOS and Windows treat names with the same result as one. */
export function foldName(name: string): string {
  return name.normalize('NFKC').toLowerCase();
}

export function caseDuplicate(path: string, other: string): string {
  return `Cannot accept ${JSON.stringify(path)}: it differs from ${JSON.stringify(other)} only in case or in Unicode form`;
}

export function joinPath(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}/${name}`;
}

function nameFault(entry: TreeEntry, path: string, report: (rule: TreeRule, detail: string) => void): void {
  const { name } = entry;
  if (entry.rawName) report('not_utf8', `the name is not UTF-8 (${Buffer.from(entry.rawName).toString('hex')})`);
  if (name === '') report('empty_name', 'the name is empty');
  if (name === '.' || name === '..') report('dot_name', `"${name}" is not a name`);
  if (isGitAlias(name)) report('git_name', 'some file systems treat the name as ".git"');
  if (/[\\/]/.test(name) || /^[a-z]:/i.test(name)) report('separator', 'the name has a separator or a drive letter');
  if (/\p{Cc}/u.test(name)) report('control_character', 'the name has a control character');
  if (/[\p{Cf}\p{Zl}\p{Zp}]/u.test(name)) report('invisible_character', 'the name has an invisible character');
  if (Buffer.byteLength(name) > MAX_NAME_BYTES)
    report('too_long', `the name has ${Buffer.byteLength(name)} bytes, must be at most ${MAX_NAME_BYTES}`);
  else if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    report('too_long', `the path has ${Buffer.byteLength(path)} bytes, must be at most ${MAX_PATH_BYTES}`);
}

function modeFault(entry: TreeEntry, report: (rule: TreeRule, detail: string) => void): void {
  if (entry.mode === '120000') report('symlink', 'it is a symbolic link');
  else if (entry.mode === '160000') report('submodule', 'it is a submodule');
}

/**
 * Follows Git's is_ntfs_dotgit and is_hfs_dotgit. HFS+ ignores invisible characters and case. NTFS ignores trailing dots and spaces, reads the text
 * after ":" as a stream, and maps the short name "git~1" to ".git".
 */
function isGitAlias(name: string): boolean {
  const visible = name
    .replace(/\p{Cf}/gu, '')
    .normalize('NFKC')
    .toLowerCase();
  const stem = (visible.split(/[:\\/]/)[0] ?? '').replace(/[. ]+$/, '');
  return stem === '.git' || /^git~\d+$/.test(stem);
}

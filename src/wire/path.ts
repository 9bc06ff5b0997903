/**
 * The rules of a path inside a bundle. The controller checks them when it builds a bundle. The device checks them again before it writes, so that
 * neither must trust the other.
 */

/** Longest name on common file systems, in bytes. */
const MAX_SEGMENT_BYTES = 255;
const MAX_PATH_CHARS = 1024;

/** The fault of `path` as a file of a bundle, as the end of a sentence that begins with the path; null when it has none. */
export function pathFault(path: string): string | null {
  if (path === '') return 'is empty';
  if (path.length > MAX_PATH_CHARS) return `has ${path.length} characters, must have <= ${MAX_PATH_CHARS}`;
  if (path.startsWith('/')) return 'is absolute, must be relative';
  for (const segment of path.split('/')) {
    const fault = segmentFault(segment);
    if (fault !== null) return fault;
  }
  return null;
}

/** The fault of `name` as one name between two `/`; null when it has none. */
export function segmentFault(name: string): string | null {
  if (name === '') return 'has an empty name between two "/"';
  if (name === '.' || name === '..') return `has the name "${name}", which leads elsewhere`;
  if (name.includes('/') || name.includes('\\')) return 'has a separator inside a name';
  if (hasControlCharacter(name)) return 'has a control character in a name';
  // A decoder puts U+FFFD where bytes are not UTF-8: two different names would become one.
  if (name.includes('\uFFFD') || !name.isWellFormed()) return 'has a name that is not UTF-8';
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_SEGMENT_BYTES) return `has a name of ${bytes} bytes, must have <= ${MAX_SEGMENT_BYTES}`;
  return null;
}

/**
 * Two paths that cannot both exist on every device: they differ in case only, or one is a folder of the other. null when there is no such
 * pair. Linear in the number of path segments.
 */
export function pathCollision(paths: readonly string[]): { first: string; second: string } | null {
  const files = new Map<string, string>();
  for (const path of paths) {
    const first = files.get(foldPath(path));
    if (first !== undefined) return { first, second: path };
    files.set(foldPath(path), path);
  }
  for (const [folded, path] of files) {
    for (let end = folded.indexOf('/'); end !== -1; end = folded.indexOf('/', end + 1)) {
      const first = files.get(folded.slice(0, end));
      if (first !== undefined) return { first, second: path };
    }
  }
  return null;
}

/** The path on a file system that ignores case and Unicode composition. */
function foldPath(path: string): string {
  return path.normalize('NFC').toLowerCase();
}

function hasControlCharacter(name: string): boolean {
  for (let i = 0; i < name.length; i += 1) {
    const code = name.charCodeAt(i);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true;
  }
  return false;
}

import { createHash } from 'node:crypto';
import type { CommitInfo, ObjectSource, TreeEntry } from '../../src/git/pack/object-source.ts';
import { gitProblem } from '../../src/git/problems.ts';

/** A file's text, or an entry as hostile as a test wants it. */
export type Content = string | Uint8Array | { mode: string; oid?: string; text?: string };
export type Files = Record<string, Content>;

/** Objects in memory: content-addressed as in Git, but nothing is checked. */
export class MemorySource implements ObjectSource {
  readonly blobs = new Map<string, Uint8Array>();
  readonly trees = new Map<string, TreeEntry[]>();
  readonly commits = new Map<string, CommitInfo>();
  /** Ids of what was read, in order. */
  readonly reads: string[] = [];

  commit(files: Files): string {
    const tree = this.tree(files);
    const oid = hash(`commit ${tree} ${this.commits.size}`);
    this.commits.set(oid, {
      oid,
      tree,
      parents: [],
      author: { name: 'A', email: 'a@example.com' },
      committedAt: new Date(0),
      message: 'm',
    });
    return oid;
  }

  /** For trees that paths cannot say: entries with equal or impossible names. */
  commitTree(entries: TreeEntry[]): string {
    const tree = this.putTree(entries);
    const oid = hash(`commit ${tree} ${this.commits.size}`);
    this.commits.set(oid, {
      oid,
      tree,
      parents: [],
      author: { name: 'A', email: 'a@example.com' },
      committedAt: new Date(0),
      message: 'm',
    });
    return oid;
  }

  tree(files: Files): string {
    const entries: TreeEntry[] = [];
    const folders = new Map<string, Files>();
    for (const [path, content] of Object.entries(files)) {
      const slash = path.indexOf('/');
      if (slash === -1) entries.push(this.entry(path, content));
      else folders.set(path.slice(0, slash), { ...folders.get(path.slice(0, slash)), [path.slice(slash + 1)]: content });
    }
    for (const [name, inner] of folders) entries.push({ name, mode: '040000', oid: this.tree(inner) });
    return this.putTree(entries.sort((a, b) => (a.name < b.name ? -1 : 1)));
  }

  putTree(entries: TreeEntry[]): string {
    const oid = hash(`tree ${JSON.stringify(entries)}`);
    this.trees.set(oid, entries);
    return oid;
  }

  putBlob(content: string | Uint8Array): string {
    const bytes = Buffer.from(content);
    const oid = hash(Buffer.concat([Buffer.from('blob '), bytes]));
    this.blobs.set(oid, bytes);
    return oid;
  }

  async readCommit(oid: string): Promise<CommitInfo> {
    return this.read(this.commits, oid);
  }

  async readTree(oid: string): Promise<TreeEntry[]> {
    return this.read(this.trees, oid);
  }

  async readBlob(oid: string, maxBytes: number): Promise<Uint8Array> {
    const bytes = this.read(this.blobs, oid);
    if (bytes.length > maxBytes) throw gitProblem('git_too_large', `Cannot read "${oid}": too large`);
    return bytes;
  }

  private entry(name: string, content: Content): TreeEntry {
    if (typeof content === 'string' || content instanceof Uint8Array) return { name, mode: '100644', oid: this.putBlob(content) };
    return { name, mode: content.mode, oid: content.oid ?? this.putBlob(content.text ?? '') };
  }

  private read<T>(objects: Map<string, T>, oid: string): T {
    this.reads.push(oid);
    const found = objects.get(oid);
    if (found === undefined) throw gitProblem('git_object_missing', `Cannot find "${oid}"`);
    return found;
  }
}

function hash(bytes: string | Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex');
}

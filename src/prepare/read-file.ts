import { isProblem } from '../git/problems.ts';
import { configError } from '../revision/config-error.ts';
import type { RevisionLimits } from '../revision/limits.ts';
import { standInError } from './folder/stand-in.ts';
import type { Meter } from './meter/meter.ts';
import type { ObjectCache, StoredFile } from './object-cache.ts';
import type { Stage } from './stage.ts';
import { found, refused } from './stage.ts';

/** A file of the repository or of what layers made. @param file its path, for errors. @param rule the limit that bounds it */
export async function readFile(
  { objects, limits }: { objects: ObjectCache; limits: RevisionLimits },
  meter: Meter,
  { oid, file, rule }: { oid: string; file: string; rule: 'maxFileBytes' | 'maxDocumentBytes' | 'maxTemplateBytes' },
): Promise<Stage<StoredFile>> {
  const maxBytes = limits[rule];
  try {
    const stored = await objects.readFile(oid, maxBytes);
    meter.readBytes += stored.bytes.length;
    const standIn = standInError(stored.bytes, file);
    return standIn === null ? found(stored) : refused(standIn);
  } catch (error) {
    if (isProblem(error, 'git_too_large'))
      return refused(configError({ code: 'too_large', file, rule, limit: maxBytes, detail: `has more than ${maxBytes} bytes` }));
    if (!isProblem(error, 'git_object_invalid')) throw error;
    const detail = 'cannot be read: its object is damaged in the repository itself';
    return refused(configError({ code: 'path', file, rule: 'unreadable', detail }));
  }
}

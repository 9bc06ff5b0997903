import type { Json } from '../../wire/text/json.ts';
import { integrationProblem } from '../problems.ts';
import type { PushConfiguration } from '../provider.ts';

/** Bytes of a bundle's files that are sent in one request, before base64, unless the receiver takes less. */
const MAX_BYTES = 4 * 1024 * 1024;

/** All files of a bundle as `{path, content}`, in base64. @throws Problem `integration_rejected` for a bundle that is too large for one request */
export async function contentsOf(
  { files, readFile }: Pick<PushConfiguration, 'files' | 'readFile'>,
  maxBytes = MAX_BYTES,
): Promise<Json[]> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  if (total > maxBytes)
    throw integrationProblem('integration_rejected', `Cannot send the bundle: its files have ${total} bytes, must be <= ${maxBytes}`);
  return Promise.all(files.map(async ({ path, sha256 }) => ({ path, content: Buffer.from(await readFile(sha256)).toString('base64') })));
}

import type { Operation } from './description.ts';
import type { Answer } from './send.ts';

/** A law that an answer breaks. `law` is the same for the same fault. */
export type Breach = { law: string; detail: string };

/** What every answer must be, whatever the request was. */
export function breaches(operation: Operation, { status, headers, body }: Answer): Breach[] {
  const type = headers['content-type']?.split(';')[0]?.trim() ?? '';
  const found: Breach[] = [];
  const breach = (law: string, detail: string) => found.push({ law, detail: `${detail}: ${status} ${type} ${body.subarray(0, 600)}` });
  const answers = operation.answers.get(status);
  // A git host that cannot be reached is no fault of ours, where the description says that one is asked.
  if (status >= 500 && !(status === 502 && answers !== undefined)) breach(`answers ${status}`, 'a fault of ours');
  if (answers === undefined) breach(`answers ${status}`, 'the description does not know this status');
  else if (answers.size === 0) {
    if (body.length > 0) breach(`answers ${status} with a body`, 'the description knows none');
  } else {
    const validate = answers.get(type);
    if (validate === undefined) breach(`answers ${status} as ${type || 'nothing'}`, `must be ${[...answers.keys()].join(' or ')}`);
    else if (!validate(/[/+]json$/.test(type) ? parsed(body) : body.toString('utf8'))) {
      const [error] = validate.errors ?? [];
      breach(`answers ${status} in another shape`, `${error?.instancePath} ${error?.message} ${JSON.stringify(error?.params)}`);
    }
  }
  if (headers['x-request-id'] === undefined) breach('has no request id', 'X-Request-Id is missing');
  // A device is no browser, and its answers open in none: they need its key in a header.
  if (headers['x-content-type-options'] !== 'nosniff' && (status >= 400 || !operation.path.startsWith('/agent/v1/')))
    breach('has no security headers', 'X-Content-Type-Options is missing');
  return found;
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

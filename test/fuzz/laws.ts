import type { Answers } from './description.ts';
import type { Request } from './requests.ts';
import type { Answer } from './send.ts';

/** A law that an answer broke. `law` is the same for the same fault. */
export type Breach = { law: string; detail: string };

/** Checks the laws of every answer to any request. */
export function breaches({ operation, params }: Request, answer: Answer): Breach[] {
  const { status, headers } = answer;
  const described = operation.answers.get(status);
  const found: (readonly [law: string, why: string])[] = [];
  if (status >= 500 && !isOfGitHost(operation, answer)) found.push([`answers ${status}`, 'a fault of ours']);
  else if (!leadsElsewhere(params)) found.push(...againstDescription(described, answer));
  if (headers['x-request-id'] === undefined) found.push(['has no request id', 'X-Request-Id is missing']);
  // Answers to devices never open in a browser, because they need the device's key in a header.
  if (headers['x-content-type-options'] !== 'nosniff' && (status >= 400 || !operation.path.startsWith('/agent/v1/')))
    found.push(['has no security headers', 'X-Content-Type-Options is missing']);
  return found.map(([law, why]) => ({ law, detail: `${why}: ${status} ${headers['content-type']} ${answer.body.subarray(0, 600)}` }));
}

/** An unreachable git host is no fault of the service, if the description documents the call to a host. */
function isOfGitHost({ answers }: Request['operation'], { status, body }: Answer): boolean {
  if (!answers.has(502)) return false;
  const known: unknown = status === 503 ? parsed(body) : undefined;
  // The service does not call a host whose last requests failed.
  const isPause = typeof known === 'object' && known !== null && 'code' in known && known.code === 'git_host_unavailable';
  return isPause || ((status === 502 || status === 504) && answers.has(status));
}

/** By the rules for URLs, such a segment removes the one before it, so that another operation answers. */
function leadsElsewhere(params: Request['params']): boolean {
  return Object.values(params).some((value) => /^(\.|%2e){1,2}$/i.test(String(value)));
}

function againstDescription(answers: Answers | undefined, { status, headers, body }: Answer): (readonly [law: string, why: string])[] {
  if (answers === undefined) return [[`answers ${status}`, 'the description does not know this status']];
  if (answers.size === 0) return body.length === 0 ? [] : [[`answers ${status} with a body`, 'the description knows none']];
  const type = headers['content-type']?.split(';')[0]?.trim() ?? '';
  const validate = answers.get(type);
  if (validate === undefined) return [[`answers ${status} as ${type}`, `must be ${[...answers.keys()].join(' or ')}`]];
  if (validate(/[/+]json$/.test(type) ? parsed(body) : body.toString('utf8'))) return [];
  const [error] = validate.errors ?? [];
  return [[`answers ${status} in another shape`, `${error?.instancePath} ${error?.message} ${JSON.stringify(error?.params)}`]];
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

import { CONFIG_ERRORS, DEPLOYMENT_ERRORS, ERROR_GROUPS, type ErrorKind } from '../../src/wire/errors.ts';

type Group = keyof typeof ERROR_GROUPS;

/** `answers`: whether a route answers these errors, so that their status counts. */
const SECTIONS: Record<Group, { title: string; answers: boolean }> = {
  request: { title: 'Requests', answers: true },
  state: { title: 'Requests that do not fit the present state', answers: true },
  hook: { title: 'Webhooks from git hosts', answers: true },
  git: { title: 'Git repositories', answers: true },
  forge: { title: 'The API of a git host', answers: true },
  integration: { title: 'Device platforms of integrations', answers: true },
  service: { title: "The service's own work", answers: true },
  agent: { title: 'Agent and simulated devices', answers: false },
  command: { title: 'Command line', answers: false },
  live: { title: 'Live connections', answers: false },
};

/** `docs/errors.md`: all codes with status, retry and meaning. */
export function errorsPage(): string {
  const groups = Object.entries(SECTIONS).map(([group, { title, answers }]) => {
    const kinds = Object.entries<ErrorKind>(ERROR_GROUPS[group as Group]);
    const rows = kinds.map(([code, kind]) => [`\`${code}\``, ...(answers ? [statusOf(kind)] : []), kind.retry, kind.meaning]);
    return section(title, ['Code', ...(answers ? ['Status'] : []), 'Retry', 'Meaning'], rows);
  });
  const deployments = Object.entries(DEPLOYMENT_ERRORS).map(([code, { retry, meaning }]) => [`\`${code}\``, retry, meaning]);
  const config = Object.entries(CONFIG_ERRORS).map(([code, meaning]) => [`\`${code}\``, meaning]);
  return [
    INTRODUCTION,
    ...groups,
    section('Failed deployments', ['Code', 'Retry', 'Meaning'], deployments, ON_DEPLOYMENTS),
    section(
      'Errors in a configuration',
      ['Code', 'Meaning'],
      config,
      'Only a new commit repairs these. Each error names its file, line and rule.',
    ),
  ].join('\n');
}

const INTRODUCTION = `# Errors

This page is written from \`src/wire/errors.ts\`. Codes are stable: programs may rely on them, messages are for people. The API answers errors as
\`application/problem+json\` with \`status\`, \`code\` and \`detail\`.

Retry says what to do: \`never\`: a person must change something first; \`backoff\`: try again, each time after a longer pause, and not before
\`Retry-After\`; \`soon\`: try again shortly.

Previews and plans answer 404 when the git host does not have the commit, and 502 for its other errors, with the same codes.
`;

const ON_DEPLOYMENTS = `With \`never\` the bundle is quarantined on the device until it changes, or until an operator retries it. Devices may report other codes; those
count as \`never\`.`;

function statusOf({ status, also = [] }: ErrorKind): string {
  return [status, ...also].join(', ');
}

function section(title: string, head: string[], rows: string[][], text?: string): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  const table = [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
  return `## ${title}\n\n${text === undefined ? '' : `${text}\n\n`}${table}\n`;
}

import { expect, test } from 'vitest';
import { webhookProvider } from '../../src/source/webhook/registry.ts';
import { fixture, hook } from '../source/webhook/fixtures.ts';

const SAMPLES = {
  gitlab: {
    headers: { 'x-gitlab-event': 'Merge Request Hook' },
    file: 'gitlab-merge-request',
    moved: '"update"',
    closed: ['"close"', '"merge"'],
  },
  github: { headers: { 'x-github-event': 'pull_request' }, file: 'github-pull-request', moved: '"synchronize"', closed: ['"closed"'] },
  gitea: { headers: { 'x-gitea-event': 'pull_request' }, file: 'gitea-pull-request', moved: '"synchronized"', closed: ['"closed"'] },
  forgejo: { headers: { 'x-forgejo-event': 'pull_request' }, file: 'gitea-pull-request', moved: '"synchronized"', closed: ['"closed"'] },
} as const;

test.each(Object.entries(SAMPLES))(
  'a hook of %s names the target branch and state of a merge request',
  (name, { headers, file, moved, closed }) => {
    const body = fixture(file).toString();
    const parse = (text: string) => webhookProvider(name).parse(hook({ ...headers }, text));
    expect(parse(body)).toMatchObject({ kind: 'change', mergeRequest: { number: 7, state: 'open', target: 'main', title: 'Spring menu' } });
    for (const action of closed) {
      const ended = body.replace(`"action": ${moved}`, `"action": ${action}`);
      expect(ended).not.toBe(body);
      expect(parse(ended)).toMatchObject({ kind: 'change', mergeRequest: { number: 7, state: 'closed', target: 'main' } });
    }
  },
);

test('a merge request without a target branch triggers a check, but no plan', () => {
  const body = fixture('gitlab-merge-request').toString().replace('"target_branch"', '"other"');
  const parsed = webhookProvider('gitlab').parse(hook({ 'x-gitlab-event': 'Merge Request Hook' }, body));
  expect(parsed).toMatchObject({ kind: 'change', event: 'merge_request' });
  expect(parsed).not.toHaveProperty('mergeRequest');
});

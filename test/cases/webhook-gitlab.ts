import { AFTER, BEFORE } from '../source/webhook/fixtures.ts';
import { type HostCase, newId, OTHER, type Row, SECRET, sample, ZEROS } from './webhook-rows.ts';

const push = (edits: Record<string, unknown> = {}) => sample('gitlab-push', edits);
const request = (edits: Record<string, unknown> = {}) => sample('gitlab-merge-request', edits);
const attributes = (action: string, more: Record<string, unknown> = {}) => ({ 'object_attributes/action': action, ...more });
const REQUEST = 'Merge Request Hook';
const SYSTEM = 'System Hook';
const GROUP = { created_at: '2026-03-02T12:27:31Z', group_name: 'Fleet', group_path: 'fleet', group_id: 100 };
const elsewhere = {
  'project/id': 99,
  'project/path_with_namespace': 'fleet/gates',
  'project/git_http_url': 'https://gitlab.example.com/fleet/gates.git',
  'project/git_ssh_url': 'git@gitlab.example.com:fleet/gates.git',
  'project/web_url': 'https://gitlab.example.com/fleet/gates',
  repository: undefined,
};

const rows: Row[] = [
  { what: 'push', event: 'Push Hook', body: push(), outcome: 'accepted' },
  { what: 'push of another branch', event: 'Push Hook', body: push({ ref: 'refs/heads/topic' }), outcome: 'other_ref' },
  { what: 'force push', event: 'Push Hook', body: push({ before: AFTER, after: OTHER }), outcome: 'accepted' },
  { what: 'tag', event: 'Tag Push Hook', body: sample('gitlab-tag-push'), outcome: 'other_ref' },
  { what: 'branch deleted', event: 'Push Hook', body: push({ after: ZEROS, checkout_sha: null, commits: [] }), outcome: 'accepted' },
  {
    what: 'many refs at once, from a hook of the installation',
    event: SYSTEM,
    body: {
      event_name: 'repository_update',
      ...{ user_id: 4, user_name: 'Ana Costa', project_id: 15 },
      project: (push() as { project: unknown }).project,
      changes: [
        { before: ZEROS, after: AFTER, ref: 'refs/heads/topic' },
        { before: BEFORE, after: AFTER, ref: 'refs/heads/main' },
      ],
      refs: ['refs/heads/topic', 'refs/heads/main'],
    },
    outcome: 'accepted',
  },
  {
    what: 'push without what is not needed',
    event: 'Push Hook',
    body: { object_kind: 'push', ref: 'refs/heads/main', project: null, user_username: 7 },
    outcome: 'accepted',
  },
  {
    what: 'push of a template of the administrator',
    event: 'Push Hook',
    body: { text: 'ana pushed to terminals' },
    outcome: 'accepted',
  },
  { what: 'merge request opened', event: REQUEST, body: request(attributes('open')), outcome: 'accepted', request: 'open' },
  {
    what: 'merge request edited',
    event: REQUEST,
    body: request(attributes('update', { 'object_attributes/oldrev': undefined, 'changes/title': { previous: 'a', current: 'b' } })),
    outcome: 'ignored',
    request: 'open',
  },
  { what: 'merge request got commits', event: REQUEST, body: request(), outcome: 'accepted', request: 'open' },
  {
    what: 'merge request retargeted away',
    event: REQUEST,
    body: request(
      attributes('update', {
        'object_attributes/oldrev': undefined,
        'object_attributes/target_branch': 'next',
        'changes/target_branch': { previous: 'main', current: 'next' },
      }),
    ),
    outcome: 'accepted',
    request: 'closed',
  },
  {
    what: 'merge request retargeted elsewhere, of no interest any more',
    event: REQUEST,
    body: request(
      attributes('update', {
        'object_attributes/oldrev': undefined,
        'object_attributes/target_branch': 'third',
        'changes/target_branch': { previous: 'next', current: 'third' },
      }),
    ),
    outcome: 'other_ref',
    request: 'closed',
  },
  {
    what: 'merge request retargeted into',
    event: REQUEST,
    body: request(
      attributes('update', {
        'object_attributes/oldrev': undefined,
        'changes/target_branch': { previous: 'third', current: 'main' },
      }),
    ),
    outcome: 'accepted',
    request: 'open',
  },
  { what: 'merge request closed', event: REQUEST, body: request(attributes('close')), outcome: 'accepted', request: 'closed' },
  { what: 'merge request reopened', event: REQUEST, body: request(attributes('reopen')), outcome: 'accepted', request: 'open' },
  { what: 'merge request merged', event: REQUEST, body: request(attributes('merge')), outcome: 'accepted', request: 'closed' },
  {
    what: 'merge request of another project',
    event: REQUEST,
    body: request(attributes('open', elsewhere)),
    outcome: 'other_repository',
    request: 'closed',
  },
  { what: 'test of a push', event: 'Push Hook', body: push({ commits: [], total_commits_count: 0 }), outcome: 'accepted' },
  { what: 'pipeline', event: 'Pipeline Hook', body: { object_kind: 'pipeline', object_attributes: { id: 31 } }, outcome: 'ignored' },
  {
    what: 'member added to a group',
    event: 'Member Hook',
    body: { ...GROUP, event_name: 'user_add_to_group', user_username: 'ben', group_access: 'Guest' },
    outcome: 'ignored',
  },
  { what: 'group made', event: 'Subgroup Hook', body: { ...GROUP, event_name: 'subgroup_create', parent_group_id: 7 }, outcome: 'ignored' },
  {
    what: 'project made',
    event: SYSTEM,
    body: { event_name: 'project_create', project_id: 74, path_with_namespace: 'fleet/gates' },
    outcome: 'ignored',
  },
  {
    what: 'project renamed',
    event: SYSTEM,
    body: { event_name: 'project_rename', project_id: 15, old_path_with_namespace: 'fleet/terminals' },
    outcome: 'ignored',
  },
  {
    what: 'push of a project that was renamed',
    event: 'Push Hook',
    body: push({ ...elsewhere, 'project/id': 15 }),
    outcome: 'accepted',
  },
  { what: 'push of another project', event: 'Push Hook', body: push(elsewhere), outcome: 'other_repository' },
];

export const gitlabCase: HostCase = {
  provider: 'gitlab',
  url: 'https://GitLab.example.com:443/Fleet/terminals',
  headers: (event) => ({ 'x-gitlab-event': event, 'idempotency-key': newId(), 'x-gitlab-token': SECRET }),
  rows,
};

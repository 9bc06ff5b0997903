import { AFTER } from '../source/webhook/fixtures.ts';
import { type HostCase, hmac, newId, OTHER, type Row, sample, ZEROS } from './webhook-rows.ts';

type Edits = Record<string, unknown>;
type Style = 'github' | 'gitea';

/** GitHub's events; Gitea shares many of them. */
function rowsOf(style: Style): Row[] {
  const push = (edits: Edits = {}) => sample(`${style}-push`, edits);
  const request = (action: string, edits: Edits = {}) => sample(`${style}-pull-request`, { action, ...edits });
  const moved = style === 'github' ? 'synchronize' : 'synchronized';
  const retargeted = (from: string): Edits =>
    style === 'github' ? { changes: { base: { ref: { from }, sha: { from: OTHER } } } } : { changes: { ref: { from } } };
  const host = style === 'github' ? 'github.com' : 'git.example.com';
  const named = (name: string): Edits => ({
    'repository/full_name': `fleet/${name}`,
    'repository/clone_url': `https://${host}/fleet/${name}.git`,
    'repository/html_url': `https://${host}/fleet/${name}`,
    'repository/ssh_url': `git@${host}:fleet/${name}.git`,
  });
  const elsewhere = { ...named('gates'), 'repository/id': 99 };
  const event = 'pull_request';
  return [
    { what: 'push', event: 'push', body: push(), outcome: 'accepted' },
    { what: 'push of another branch', event: 'push', body: push({ ref: 'refs/heads/topic' }), outcome: 'other_ref' },
    { what: 'force push', event: 'push', body: push({ before: AFTER, after: OTHER, forced: true }), outcome: 'accepted' },
    { what: 'tag', event: 'push', body: sample(`${style}-tag`), outcome: 'other_ref' },
    { what: 'push without what is not needed', event: 'push', body: { ref: 'refs/heads/main', pusher: 7 }, outcome: 'accepted' },
    { what: 'pull request opened', event, body: request('opened'), outcome: 'accepted', request: 'open' },
    {
      what: 'pull request edited',
      event,
      body: request('edited', { changes: { title: { from: 'Spring' } } }),
      outcome: 'ignored',
      request: 'open',
    },
    { what: 'pull request got commits', event, body: request(moved), outcome: 'accepted', request: 'open' },
    {
      what: 'pull request retargeted away',
      event,
      body: request('edited', { ...retargeted('main'), 'pull_request/base/ref': 'next' }),
      outcome: 'accepted',
      request: 'closed',
    },
    {
      what: 'pull request retargeted elsewhere, of no interest any more',
      event,
      body: request('edited', { ...retargeted('next'), 'pull_request/base/ref': 'third' }),
      outcome: 'other_ref',
      request: 'closed',
    },
    {
      what: 'pull request retargeted into',
      event,
      body: request('edited', retargeted('third')),
      outcome: 'accepted',
      request: 'open',
    },
    { what: 'pull request closed', event, body: request('closed'), outcome: 'accepted', request: 'closed' },
    { what: 'pull request reopened', event, body: request('reopened'), outcome: 'accepted', request: 'open' },
    {
      what: 'pull request merged',
      event,
      body: request('closed', { 'pull_request/merged': true }),
      outcome: 'accepted',
      request: 'closed',
    },
    { what: 'pull request labeled', event, body: request('labeled'), outcome: 'ignored', request: 'closed' },
    {
      what: 'pull request of another repository',
      event,
      body: request('opened', elsewhere),
      outcome: 'other_repository',
      request: 'closed',
    },
    { what: 'issue opened', event: 'issues', body: { action: 'opened', issue: { number: 3 } }, outcome: 'ignored' },
    { what: 'push of a repository that was renamed', event: 'push', body: push(named('tills')), outcome: 'accepted' },
    { what: 'push of another repository', event: 'push', body: push(elsewhere), outcome: 'other_repository' },
  ];
}

const ping = (edits: Edits = {}) => sample('github-ping', edits);
const repository = (sample('github-push') as { repository: Edits }).repository;

export const githubCase: HostCase = {
  provider: 'github',
  url: 'https://github.com/fleet/terminals/',
  headers: (event, body) => ({
    'x-github-event': event,
    'x-github-delivery': newId(),
    'x-hub-signature-256': `sha256=${hmac(body)}`,
  }),
  rows: [
    ...rowsOf('github'),
    { what: 'ping', event: 'ping', body: ping(), outcome: 'ping' },
    {
      what: 'ping of a hook of an organization',
      event: 'ping',
      body: ping({ repository: undefined, organization: { id: 4 } }),
      outcome: 'ping',
    },
    { what: 'branch deleted', event: 'push', body: sample('github-branch-deleted', { ref: 'refs/heads/main' }), outcome: 'accepted' },
    {
      what: 'branch made',
      event: 'create',
      body: { ref: 'main', ref_type: 'branch', master_branch: 'main', repository },
      outcome: 'accepted',
    },
    {
      what: 'branch deleted, as its own event',
      event: 'delete',
      body: { ref: 'main', ref_type: 'branch', repository },
      outcome: 'accepted',
    },
    { what: 'tag made, as its own event', event: 'create', body: { ref: 'v1', ref_type: 'tag', repository }, outcome: 'other_ref' },
    {
      what: 'repository renamed',
      event: 'repository',
      body: { action: 'renamed', changes: { repository: { name: { from: 'terminals' } } }, repository },
      outcome: 'ignored',
    },
    {
      what: 'member added to an organization',
      event: 'organization',
      body: { action: 'member_added', organization: { id: 4 } },
      outcome: 'ignored',
    },
    { what: 'installation of an app', event: 'installation', body: { action: 'created', repositories: [] }, outcome: 'ignored' },
  ],
};

function giteaCase(provider: 'gitea' | 'forgejo'): HostCase {
  const about = (sample('gitea-push') as { repository: Edits }).repository;
  const sender = { id: 3, login: 'ana' };
  const refEvent = (ref: string, type: string, more: Edits = {}) => ({ ref, ref_type: type, repository: about, sender, ...more });
  return {
    provider,
    url: 'https://git.example.com/fleet/terminals.git',
    headers: (event, body) => ({
      [`x-${provider}-event`]: event,
      [`x-${provider}-delivery`]: newId(),
      [`x-${provider}-signature`]: hmac(body),
    }),
    rows: [
      ...rowsOf('gitea'),
      // A deletion or rename of a branch is never a push.
      { what: 'branch deleted', event: 'delete', body: refEvent('main', 'branch', { pusher_type: 'user' }), outcome: 'accepted' },
      { what: 'branch made', event: 'create', body: refEvent('main', 'branch', { sha: AFTER }), outcome: 'accepted' },
      { what: 'another branch deleted', event: 'delete', body: refEvent('topic', 'branch', { pusher_type: 'user' }), outcome: 'other_ref' },
      { what: 'tag deleted', event: 'delete', body: refEvent('main', 'tag', { pusher_type: 'user' }), outcome: 'accepted' },
      {
        what: 'branch deleted, as a push',
        event: 'push',
        body: sample('gitea-branch-deleted', { ref: 'refs/heads/main', after: ZEROS }),
        outcome: 'accepted',
      },
      { what: 'test', event: 'push', body: sample('gitea-push', { before: AFTER, after: AFTER }), outcome: 'accepted' },
      {
        what: 'repository made in an organization',
        event: 'repository',
        body: { action: 'created', repository: { id: 99 } },
        outcome: 'ignored',
      },
      {
        what: 'release',
        event: 'release',
        body: { action: 'published', release: { tag_name: 'v1' }, repository: about },
        outcome: 'ignored',
      },
    ],
  };
}

export const giteaCases: HostCase[] = [giteaCase('gitea'), giteaCase('forgejo')];

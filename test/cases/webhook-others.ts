import { AFTER, BEFORE } from '../source/webhook/fixtures.ts';
import { type HostCase, hmac, newId, OTHER, type Row, SECRET, sample, ZEROS } from './webhook-rows.ts';

type Edits = Record<string, unknown>;

const cloudPush = (edits: Edits = {}) => sample('bitbucket-cloud-push', edits);
const cloudRequest = (event: string, edits: Edits = {}): Pick<Row, 'event' | 'body' | 'outcome'> => ({
  event,
  body: sample('bitbucket-cloud-pull-request', edits),
  // Its API is not supported, so that there is no plan.
  outcome: 'other_ref',
});
const cloudBranch = (name: string, hash: string) => ({ type: 'branch', name, target: { type: 'commit', hash } });
const cloudElsewhere = {
  'repository/full_name': 'fleet/gates',
  'repository/uuid': '{00000000-0000-4000-8000-000000000099}',
  'repository/links/html/href': 'https://bitbucket.org/fleet/gates',
};

export const bitbucketCloudCase: HostCase = {
  provider: 'bitbucket-cloud',
  url: 'https://bitbucket.org/fleet/terminals.git',
  headers: (event, body) => ({ 'x-event-key': event, 'x-request-uuid': newId(), 'x-hub-signature': `sha256=${hmac(body)}` }),
  rows: [
    { what: 'push', event: 'repo:push', body: cloudPush(), outcome: 'accepted' },
    {
      what: 'push of another branch',
      event: 'repo:push',
      body: cloudPush({ 'push/changes/0/new/name': 'topic', 'push/changes/0/old/name': 'topic' }),
      outcome: 'other_ref',
    },
    {
      what: 'force push',
      event: 'repo:push',
      body: cloudPush({ 'push/changes/0/forced': true, 'push/changes/0/new/target/hash': OTHER }),
      outcome: 'accepted',
    },
    {
      what: 'branch deleted',
      event: 'repo:push',
      body: cloudPush({ 'push/changes/0/new': null, 'push/changes/0/closed': true }),
      outcome: 'accepted',
    },
    {
      what: 'tag',
      event: 'repo:push',
      body: cloudPush({ 'push/changes/0/new/type': 'tag', 'push/changes/0/new/name': 'v1' }),
      outcome: 'other_ref',
    },
    { what: 'many refs at once', event: 'repo:push', body: sample('bitbucket-cloud-several'), outcome: 'accepted' },
    {
      what: 'push without what is not needed',
      event: 'repo:push',
      body: { push: { changes: [{ new: cloudBranch('main', AFTER), old: null }] }, actor: 7 },
      outcome: 'accepted',
    },
    { what: 'push that changes nothing', event: 'repo:push', body: cloudPush({ 'push/changes': [] }), outcome: 'ignored' },
    { what: 'pull request opened', ...cloudRequest('pullrequest:created') },
    {
      what: 'pull request edited or retargeted',
      ...cloudRequest('pullrequest:updated', { 'pullrequest/destination/branch/name': 'next' }),
    },
    { what: 'pull request merged', ...cloudRequest('pullrequest:fulfilled', { 'pullrequest/state': 'MERGED' }) },
    { what: 'pull request declined', ...cloudRequest('pullrequest:rejected', { 'pullrequest/state': 'DECLINED' }) },
    { what: 'pull request approved', ...cloudRequest('pullrequest:approved'), outcome: 'ignored' },
    {
      what: 'repository renamed',
      event: 'repo:updated',
      body: { changes: { name: { old: 'terminals', new: 'tills' } } },
      outcome: 'ignored',
    },
    {
      what: 'push of a repository that was renamed',
      event: 'repo:push',
      body: cloudPush({ 'repository/full_name': 'fleet/tills', 'repository/links/html/href': 'https://bitbucket.org/fleet/tills' }),
      outcome: 'accepted',
    },
    { what: 'push of another repository', event: 'repo:push', body: cloudPush(cloudElsewhere), outcome: 'other_repository' },
  ],
};

const centerPush = (edits: Edits = {}) => sample('bitbucket-data-center-push', edits);
const centerRequest = (event: string): Pick<Row, 'event' | 'body' | 'outcome'> => ({
  event,
  body: sample('bitbucket-data-center-pull-request', { eventKey: event }),
  outcome: 'other_ref',
});
const clone = (name: string) => [
  { href: `https://bitbucket.example.com/scm/fleet/${name}.git`, name: 'http' },
  { href: `ssh://git@bitbucket.example.com:7999/fleet/${name}.git`, name: 'ssh' },
];
const CHANGED = 'repo:refs_changed';

export const bitbucketDataCenterCase: HostCase = {
  provider: 'bitbucket-data-center',
  url: 'https://bitbucket.example.com/scm/FLEET/terminals.git',
  headers: (event, body) => ({ 'x-event-key': event, 'x-request-id': newId(), 'x-hub-signature': `sha256=${hmac(body)}` }),
  rows: [
    { what: 'push', event: CHANGED, body: centerPush(), outcome: 'accepted' },
    { what: 'push of another branch', event: CHANGED, body: centerPush({ 'changes/0/ref/id': 'refs/heads/topic' }), outcome: 'other_ref' },
    {
      what: 'tag',
      event: CHANGED,
      body: centerPush({ 'changes/0/ref/id': 'refs/tags/v1', 'changes/0/fromHash': ZEROS }),
      outcome: 'other_ref',
    },
    {
      what: 'force push',
      event: CHANGED,
      body: centerPush({ 'changes/0/fromHash': AFTER, 'changes/0/toHash': OTHER }),
      outcome: 'accepted',
    },
    {
      what: 'branch deleted',
      event: CHANGED,
      body: centerPush({ 'changes/0/type': 'DELETE', 'changes/0/toHash': ZEROS }),
      outcome: 'accepted',
    },
    { what: 'many refs at once', event: CHANGED, body: sample('bitbucket-data-center-several'), outcome: 'accepted' },
    {
      what: 'push of an old version, without links',
      event: CHANGED,
      body: centerPush({ 'repository/links': undefined }),
      outcome: 'accepted',
    },
    {
      what: 'push with the address of SSH alone',
      event: CHANGED,
      body: centerPush({ 'repository/links/clone': clone('terminals').slice(1) }),
      outcome: 'accepted',
    },
    {
      what: 'push of another repository, without links',
      event: CHANGED,
      body: centerPush({ 'repository/links': undefined, 'repository/slug': 'gates', 'repository/id': 99 }),
      outcome: 'other_repository',
    },
    { what: 'pull request opened', ...centerRequest('pr:opened') },
    { what: 'pull request got commits', ...centerRequest('pr:from_ref_updated') },
    { what: 'pull request edited or retargeted', ...centerRequest('pr:modified'), outcome: 'ignored' },
    { what: 'pull request merged', ...centerRequest('pr:merged') },
    { what: 'pull request declined', ...centerRequest('pr:declined') },
    { what: 'ping', event: 'diagnostics:ping', body: { test: true }, outcome: 'ping' },
    { what: 'repository renamed', event: 'repo:modified', body: { eventKey: 'repo:modified', new: { slug: 'tills' } }, outcome: 'ignored' },
    { what: 'project renamed', event: 'project:modified', body: { eventKey: 'project:modified' }, outcome: 'ignored' },
    {
      what: 'push of a repository that was renamed',
      event: CHANGED,
      body: centerPush({ 'repository/slug': 'tills', 'repository/links/clone': clone('tills') }),
      outcome: 'accepted',
    },
    {
      what: 'push of another repository',
      event: CHANGED,
      body: centerPush({ 'repository/slug': 'gates', 'repository/id': 99, 'repository/links/clone': clone('gates') }),
      outcome: 'other_repository',
    },
  ],
};

const azurePush = (edits: Edits = {}) => sample('azure-devops-push', { id: newId(), ...edits });
const azureRequest = (eventType: string, edits: Edits = {}): Pick<Row, 'event' | 'body' | 'outcome'> => ({
  event: eventType,
  body: sample('azure-devops-pull-request', { id: newId(), eventType, ...edits }),
  outcome: 'other_ref',
});
const update = (edits: Edits) =>
  azurePush({ 'resource/refUpdates': [{ name: 'refs/heads/main', oldObjectId: BEFORE, newObjectId: AFTER, ...edits }] });

export const azureCase: HostCase = {
  provider: 'azure-devops',
  url: 'https://fleet.visualstudio.com/DefaultCollection/Fleet/_git/terminals',
  headers: () => ({ authorization: `Basic ${Buffer.from(SECRET).toString('base64')}` }),
  rows: [
    { what: 'push', event: 'git.push', body: azurePush(), outcome: 'accepted' },
    { what: 'push of another branch', event: 'git.push', body: update({ name: 'refs/heads/topic' }), outcome: 'other_ref' },
    { what: 'tag', event: 'git.push', body: update({ name: 'refs/tags/v1', oldObjectId: ZEROS }), outcome: 'other_ref' },
    { what: 'force push', event: 'git.push', body: update({ oldObjectId: AFTER, newObjectId: OTHER }), outcome: 'accepted' },
    { what: 'branch deleted', event: 'git.push', body: update({ newObjectId: ZEROS }), outcome: 'accepted' },
    { what: 'many refs at once', event: 'git.push', body: sample('azure-devops-several', { id: newId() }), outcome: 'accepted' },
    { what: 'push with minimal details', event: 'git.push', body: azurePush({ resource: { pushId: 14 } }), outcome: 'accepted' },
    { what: 'push with no details', event: 'git.push', body: azurePush({ resource: null }), outcome: 'accepted' },
    { what: 'pull request opened', ...azureRequest('git.pullrequest.created') },
    {
      what: 'pull request edited or retargeted',
      ...azureRequest('git.pullrequest.updated', { 'resource/targetRefName': 'refs/heads/next' }),
    },
    { what: 'pull request merged', ...azureRequest('git.pullrequest.merged', { 'resource/status': 'completed' }) },
    {
      what: 'test, which is about a repository of the makers',
      event: 'git.push',
      body: azurePush({
        'resource/repository/id': '278d5cd2-584d-4b63-824a-2ba458937250',
        'resource/repository/remoteUrl': 'https://fabrikam-fiber-inc.visualstudio.com/DefaultCollection/_git/Fabrikam-Fiber-Git',
      }),
      outcome: 'other_repository',
    },
    { what: 'build', event: 'build.complete', body: { id: newId(), eventType: 'build.complete', resource: { id: 2 } }, outcome: 'ignored' },
    {
      what: 'repository renamed',
      event: 'git.repo.renamed',
      body: { id: newId(), eventType: 'git.repo.renamed', resource: {} },
      outcome: 'ignored',
    },
    {
      what: 'push of a repository that was renamed',
      event: 'git.push',
      body: azurePush({ 'resource/repository/remoteUrl': 'https://dev.azure.com/fleet/Fleet/_git/tills' }),
      outcome: 'accepted',
    },
  ],
};

const plain = (edits: Edits = {}) => sample('generic-push', edits);

export const genericCase: HostCase = {
  provider: 'generic',
  url: 'https://git.example.com/fleet/terminals.git',
  options: { scheme: 'hmac', header: 'x-sum' },
  headers: (_event, body) => ({ 'x-sum': hmac(body) }),
  rows: [
    { what: 'push', event: '', body: plain(), outcome: 'accepted' },
    { what: 'push that names the branch alone', event: '', body: { ref: 'main' }, outcome: 'accepted' },
    { what: 'push of another branch', event: '', body: plain({ ref: 'topic' }), outcome: 'other_ref' },
    { what: 'tag', event: '', body: plain({ ref: 'refs/tags/v1' }), outcome: 'other_ref' },
    { what: 'force push', event: '', body: plain({ before: AFTER, after: OTHER }), outcome: 'accepted' },
    { what: 'branch deleted', event: '', body: plain({ after: ZEROS }), outcome: 'accepted' },
    { what: 'push as Gitea writes it', event: '', body: sample('gitea-push'), outcome: 'accepted' },
    {
      what: 'push as Soft Serve writes it',
      event: '',
      body: {
        event: 'push',
        repository: { id: 4, http_url: 'https://git.example.com/fleet/terminals', ssh_url: '' },
        ref: 'refs/heads/main',
        after: AFTER,
      },
      outcome: 'accepted',
    },
    { what: 'ping', event: '', body: { zen: 'Design for failure.', hook_id: 3 }, outcome: 'ignored' },
    {
      what: 'collaborator added',
      event: '',
      body: { event: 'collaborator', action: 'added', access_level: 'read-write' },
      outcome: 'ignored',
    },
    {
      what: 'push of another repository',
      event: '',
      body: plain({ repository_url: 'ssh://git@git.example.com:2222/fleet/gates.git' }),
      outcome: 'other_repository',
    },
  ],
};

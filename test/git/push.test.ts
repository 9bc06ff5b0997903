import { afterAll, describe, expect, test } from 'vitest';
import { git } from '../support/git-host.ts';
import { openPushScene } from '../support/push-scene.ts';

const { host, repository, ask, push, branches, hook, close } = await openPushScene();
afterAll(close);

describe('pushCommitBranch()', () => {
  test('a new branch has the good content on top of the bad commit, as git itself sees it', async () => {
    const { name, url, good, bad, revert } = await repository();
    const pushed = await push(url, revert);
    expect(pushed).toEqual({ outcome: 'pushed', commit: expect.stringMatching(/^[0-9a-f]{40}$/) });
    expect(await branches(name)).toBe(`refs/heads/bellwether/revert-1 ${pushed.commit}\nrefs/heads/main ${bad}`);
    expect(await ask(name, 'fsck', '--strict', '--full', '--no-dangling')).toBe('');
    expect(await ask(name, 'diff', '--stat', good, revert.branch)).toBe('');
    expect(await ask(name, 'show', '-s', '--format=%P|%an|%ae|%at|%cn|%ce|%ct|%B', revert.branch)).toBe(
      `${bad}|Ada Äuthor|ada@example.com|1795226584|Bellwether|bellwether@example.com|1795226584|` +
        'Revert "Größe ändern"\n\nThe error budget is spent.',
    );
  });

  test('the commit has the id that git gives the same commit', async () => {
    const { name, url, revert } = await repository();
    const { commit } = await push(url, revert);
    const input = [
      'commit refs/heads/by-git\nmark :1',
      `author ${revert.author.name} <${revert.author.email}> 1795226584 +0000`,
      `committer ${revert.committer.name} <${revert.committer.email}> 1795226584 +0000`,
      `data ${Buffer.byteLength(`${revert.message.trim()}\n`)}\n${revert.message.trim()}\n`,
      `from ${revert.parent}\nM 040000 ${revert.tree} ""\n`,
      'get-mark :1\ndone\n',
    ].join('\n');
    const byGit = await git(host.pathOf(name), ['fast-import', '--quiet', '--done'], input);
    expect(byGit.toString().trim()).toBe(commit);
  });

  test('accepts messages of any length and person names that would break the line', async () => {
    const { name, url, revert } = await repository();
    for (const [n, length] of [1, 15, 16, 2047, 2048, 300_000].entries()) {
      const message = 'm'.repeat(length);
      const { commit } = await push(url, { ...revert, branch: `b${n}`, message });
      expect(await ask(name, 'show', '-s', '--format=%B', commit)).toBe(message);
    }
    const author = { name: ' Eve\n<eve>\0 ', email: 'eve@example.com>\ncommitter x' };
    const { commit } = await push(url, { ...revert, branch: 'names', author, message: 'a\0b' });
    expect(await ask(name, 'show', '-s', '--format=%an|%ae|%cn|%B', commit)).toBe('Eveeve|eve@example.comcommitter x|Bellwether|ab');
    expect(await ask(name, 'fsck', '--strict', '--full', '--no-dangling')).toBe('');
  });

  test('a retry finds the pushed branch, also with another message or time', async () => {
    const { name, url, revert } = await repository();
    const { commit } = await push(url, revert);
    const before = await branches(name);
    const asked = host.requests.length;
    expect(await push(url, revert)).toEqual({ outcome: 'exists', commit });
    expect(host.requests.slice(asked).map(({ service, method }) => `${method} ${service}`)).toEqual(['GET git-receive-pack']);
    expect(await push(url, { ...revert, at: new Date('2027-01-01T00:00:00Z'), message: 'again' })).toEqual({ outcome: 'exists', commit });
    expect(await branches(name)).toBe(before);
  });

  test('one of many simultaneous calls pushes, and the others find its branch', async () => {
    const { name, url, revert } = await repository();
    const results = await Promise.all(Array.from({ length: 5 }, () => push(url, revert)));
    expect(results.map(({ outcome }) => outcome).sort()).toEqual(['exists', 'exists', 'exists', 'exists', 'pushed']);
    expect(new Set(results.map(({ commit }) => commit)).size).toBe(1);
    expect(await ask(name, 'rev-parse', revert.branch)).toBe(results[0]?.commit);
  });

  test('a branch with another content or another parent is never moved', async () => {
    const { name, url, good, bad, revert } = await repository();
    await git(host.pathOf(name), ['branch', revert.branch, good]);
    await expect(push(url, revert)).rejects.toMatchObject({
      code: 'branch_exists',
      status: 409,
      message: `Cannot create the branch "bellwether/revert-1": it exists at "${good}" with another content or parent`,
    });
    expect(await ask(name, 'rev-parse', revert.branch)).toBe(good);
    const badTree = await ask(name, 'rev-parse', `${bad}^{tree}`);
    const identity = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com'];
    const merge = await ask(name, ...identity, 'commit-tree', '-m', 'merge', '-p', bad, '-p', good, revert.tree);
    await ask(name, 'branch', 'merge', merge);
    await push(url, { ...revert, branch: 'other-parent', parent: good });
    await push(url, { ...revert, branch: 'other-tree', tree: badTree });
    const before = await branches(name);
    for (const branch of ['merge', 'other-parent', 'other-tree'])
      await expect(push(url, { ...revert, branch }), branch).rejects.toMatchObject({ code: 'branch_exists' });
    expect(await branches(name)).toBe(before);
    await expect(push(url, { ...revert, branch: 'main' })).rejects.toMatchObject({ code: 'branch_exists' });
    expect(await ask(name, 'rev-parse', 'main')).toBe(bad);
  });

  test('a branch name that another branch uses as a folder is refused', async () => {
    const { name, url, bad, revert } = await repository();
    await git(host.pathOf(name), ['branch', 'bellwether', bad]);
    await expect(push(url, revert)).rejects.toMatchObject({
      code: 'git_push_refused',
      message: expect.stringContaining('refs/heads/bellwether'),
    });
  });

  test('a revert can restore an empty tree', async () => {
    const { name, url, revert } = await repository();
    const tree = await ask(name, 'mktree');
    const { commit } = await push(url, { ...revert, tree });
    expect(await ask(name, 'ls-tree', commit)).toBe('');
  });
});

describe('refusals', () => {
  test('the push fails without the right credentials', async () => {
    const { name, url, revert } = await repository();
    const before = await branches(name);
    const denied = {
      code: 'git_push_denied',
      status: 422,
      retry: 'never',
      message: `Cannot push to "${url}": the host answered 401; the credentials may not push, or it takes no pushes over HTTP`,
    };
    await expect(push(url, revert, { credentials: undefined })).rejects.toMatchObject(denied);
    const failure = await push(url, revert, { credentials: { token: 'wrong-token' } }).catch((error: unknown) => error);
    expect(failure).toMatchObject(denied);
    expect(String(failure)).not.toContain('wrong-token');
    expect(await branches(name)).toBe(before);
  });

  test('a 403 of a host that accepts no pushes over HTTP is git_push_denied', async () => {
    const { name, url, revert } = await repository();
    await ask(name, 'config', 'http.receivepack', 'false');
    await expect(push(url, revert)).rejects.toMatchObject({ code: 'git_push_denied', message: expect.stringContaining('answered 403') });
  });

  test("the error has a hook's text about a protected branch", async () => {
    const { name, url, revert } = await repository();
    await hook(name, 'pre-receive', 'echo "You may not push to \\"bellwether/*\\"." >&2; exit 1');
    await expect(push(url, revert)).rejects.toMatchObject({
      code: 'git_push_refused',
      retry: 'never',
      message:
        `Cannot push the branch "bellwether/revert-1" to "${url}": the host refused it: ` +
        'pre-receive hook declined (You may not push to "bellwether/*".)',
    });
    expect(await branches(name)).not.toContain('revert');
  });

  test('a hook that refuses the ref is git_push_refused', async () => {
    const { name, url, revert } = await repository();
    await hook(name, 'update', 'exit 1');
    await expect(push(url, revert)).rejects.toMatchObject({
      code: 'git_push_refused',
      message: expect.stringContaining('refused it: hook declined'),
    });
  });

  test.each([
    ['the parent', { parent: '1'.repeat(40) }, {}],
    ['the tree', { tree: '2'.repeat(40) }, {}],
    ['the tree, with checks while unpacking', { tree: '2'.repeat(40) }, { 'receive.fsckObjects': 'true' }],
    ['the tree, with packs that stay packed', { tree: '2'.repeat(40) }, { 'receive.unpackLimit': '1' }],
    ['the tree, with both', { tree: '2'.repeat(40) }, { 'receive.fsckObjects': 'true', 'receive.unpackLimit': '1' }],
  ])('git_object_missing for a host that lacks %s', async (_case, missing, settings) => {
    const { name, url, revert } = await repository();
    for (const [key, value] of Object.entries(settings)) await ask(name, 'config', key, value);
    const before = await branches(name);
    const wanted = { ...revert, ...missing };
    await expect(push(url, wanted)).rejects.toMatchObject({
      code: 'git_object_missing',
      retry: 'never',
      message: expect.stringContaining(`to "${url}": the host lacks the commit "${wanted.parent}" or the tree "${wanted.tree}": `),
    });
    expect(await branches(name)).toBe(before);
  });

  test('a host with strict checks accepts the commit', async () => {
    const { name, url, revert } = await repository();
    await ask(name, 'config', 'receive.fsckObjects', 'true');
    await ask(name, 'config', 'receive.unpackLimit', '1');
    expect(await push(url, revert)).toMatchObject({ outcome: 'pushed' });
  });

  test.each([
    [{ branch: 'HEAD' }, 'invalid_ref'],
    [{ branch: 'refs/heads/x' }, 'invalid_ref'],
    [{ branch: 'a..b' }, 'invalid_ref'],
    [{ branch: 'a\nb' }, 'invalid_ref'],
    [{ branch: '3'.repeat(40) }, 'invalid_ref'],
    [{ parent: 'main' }, 'invalid_ref'],
    [{ tree: '4'.repeat(40).concat('\nparent x') }, 'invalid_ref'],
    [{ author: { name: '<>', email: 'a@example.com' } }, 'invalid_request'],
  ])('%j is refused before any request', async (change, code) => {
    const { url, revert } = await repository();
    const before = host.requests.length;
    await expect(push(url, { ...revert, ...change })).rejects.toMatchObject({ code });
    expect(host.requests.length).toBe(before);
  });

  test('a push to a repository on this machine is git_unsupported', async () => {
    const { name, revert } = await repository();
    await expect(push(host.pathOf(name), revert)).rejects.toMatchObject({ code: 'git_unsupported' });
  });
});

import { describe, expect, test } from 'vitest';
import { COMMIT_STATES, shorten } from '../../src/forge/forge.ts';
import { openForge } from './support.ts';

const COMMIT = 'c'.repeat(40);
const SHOWN = {
  gitlab: { pending: 'pending', running: 'running', success: 'success', failure: 'failed', error: 'failed' },
  github: { pending: 'pending', running: 'pending', success: 'success', failure: 'failure', error: 'error' },
  gitea: { pending: 'pending', running: 'pending', success: 'success', failure: 'failure', error: 'error' },
};

describe.each(['gitlab', 'github', 'gitea'] as const)('at %s', (kind) => {
  test('a commit has the source’s status in the host’s terms, and the last one counts', async () => {
    await using host = await openForge(kind);
    for (const state of COMMIT_STATES) {
      await host.forge.setCommitStatus(COMMIT, { state, description: `now\n${state}`, targetUrl: 'http://bellwether.example/rollouts/1' });
      expect(host.statusesOf(COMMIT)).toEqual([
        expect.objectContaining({
          context: 'bellwether/tills',
          state: SHOWN[kind][state],
          description: `now ${state}`,
          targetUrl: 'http://bellwether.example/rollouts/1',
        }),
      ]);
    }
  });

  test('a status may be repeated, and every state may follow every other', async () => {
    await using host = await openForge(kind);
    for (const before of COMMIT_STATES)
      for (const after of COMMIT_STATES) {
        await host.forge.setCommitStatus(COMMIT, { state: before, description: '' });
        await host.forge.setCommitStatus(COMMIT, { state: after, description: '' });
        const shown = host.statusesOf(COMMIT)[0]?.state;
        // A running status cannot become pending again at GitLab.
        expect(shown).toBe(kind === 'gitlab' && before === 'running' && after === 'pending' ? 'running' : SHOWN[kind][after]);
      }
  });

  test('a description is shortened to the host’s limit', async () => {
    await using host = await openForge(kind);
    await host.forge.setCommitStatus(COMMIT, { state: 'failure', description: 'too long '.repeat(100) });
    const shown = host.statusesOf(COMMIT)[0]?.description ?? '';
    expect(shown).toHaveLength(kind === 'github' ? 140 : 255);
    expect(shown.endsWith('…')).toBe(true);
  });

  test('a missing commit and a token without permission cause distinct errors', async () => {
    await using host = await openForge(kind);
    await expect(host.forge.setCommitStatus('0'.repeat(40), { state: 'success', description: '' })).rejects.toMatchObject({
      code: kind === 'github' ? 'forge_rejected' : 'forge_not_found',
      message: expect.stringContaining(`Cannot set the status of commit ${'0'.repeat(40)} of fleet/tills`),
    });
    host.state.tokens.reader = { accountId: 8, may: [] };
    const forge = host.connect({ credentials: { token: 'reader' } });
    await expect(forge.setCommitStatus(COMMIT, { state: 'success', description: '' })).rejects.toMatchObject({ code: 'forge_forbidden' });
  });

  test('all pages of open merge requests into a branch are listed, with the ref that Git can fetch', async () => {
    await using host = await openForge(kind);
    host.state.mergeRequests = Array.from({ length: 260 }, (_, at) => ({
      number: at + 1,
      head: String(at).padStart(40, '0'),
      target: at % 2 === 0 ? 'main' : 'next',
      title: `change ${at}`,
      open: at >= 10,
    }));
    const found = await host.forge.openMergeRequests('main');
    expect(found).toHaveLength(125);
    expect(found[0]).toEqual({
      number: 11,
      head: '10'.padStart(40, '0'),
      headRef: kind === 'gitlab' ? 'refs/merge-requests/11/head' : 'refs/pull/11/head',
      title: 'change 10',
      url: expect.stringContaining('/11'),
    });
    expect(found.map(({ number }) => number)).toEqual(found.map(({ number }) => number).toSorted((a, b) => a - b));
    expect(await host.forge.openMergeRequests('nowhere')).toEqual([]);
  });
});

test('GitLab gets no link if it exceeds the length limit', async () => {
  await using host = await openForge('gitlab');
  await host.forge.setCommitStatus(COMMIT, {
    state: 'success',
    description: '',
    targetUrl: `http://bellwether.example/${'x'.repeat(255)}`,
  });
  expect(host.statusesOf(COMMIT)).toEqual([expect.objectContaining({ targetUrl: null })]);
});

test('a shortened text ends with a whole character', () => {
  expect(shorten('abc', 3)).toBe('abc');
  expect(shorten('abcd', 3)).toBe('ab…');
  expect(shorten('a🐑b', 3)).toBe('a…');
});

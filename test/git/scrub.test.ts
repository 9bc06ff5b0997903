import fc from 'fast-check';
import { expect, test } from 'vitest';
import { foreignText, gitProblem } from '../../src/git/problems.ts';
import { withoutCredentials } from '../../src/git/protocol/scrub.ts';

const secrets = fc.stringMatching(/^[A-Za-z0-9_+/=@:-]{8,60}$/);
const texts = fc.string({ maxLength: 400 });

test('whatever a host says back, in clear, in a URL or as a header, and wherever that was cut, the credentials are not in it', () => {
  fc.assert(
    fc.property(
      secrets,
      fc.string({ minLength: 1, maxLength: 20 }),
      texts,
      texts,
      fc.boolean(),
      (secret, username, before, after, isToken) => {
        const credentials = isToken ? { token: secret } : { username, password: secret };
        const basic = Buffer.from(`${isToken ? 'oauth2' : username}:${secret}`).toString('base64');
        for (const said of [secret, encodeURIComponent(secret), basic]) {
          const problem = gitProblem('git_protocol', `Cannot read "x": the host says "${foreignText(`${before}${said}${after}`)}"`);
          const scrubbed = withoutCredentials(problem, credentials);
          // What the host said beside it may hold the secret by chance.
          if (`${before} ${after}`.includes(said)) continue;
          expect(String(scrubbed)).not.toContain(said);
          expect(scrubbed).toMatchObject({ code: 'git_protocol', status: problem.status, retry: problem.retry });
        }
      },
    ),
  );
});

test('of a secret that was cut, its beginning is not told either', () => {
  const token = 'glpat-0123456789abcdef';
  for (let kept = 4; kept < token.length; kept += 1) {
    const said = foreignText(`${'x'.repeat(300 - kept)}${token}`);
    expect(said.endsWith(`${token.slice(0, kept)}…`)).toBe(true);
    const scrubbed = withoutCredentials(gitProblem('git_protocol', said), { token });
    expect(String(scrubbed)).not.toContain(token.slice(0, kept));
  }
});

test('an error that says nothing of them stays the same', () => {
  const problem = gitProblem('git_auth', 'Cannot read "x": the host answered 401');
  expect(withoutCredentials(problem, { token: 'glpat-0123456789abcdef' })).toBe(problem);
  expect(withoutCredentials(problem, undefined)).toBe(problem);
  const error = new Error('glpat-0123456789abcdef');
  expect(withoutCredentials(error, { token: 'glpat-0123456789abcdef' })).toBe(error);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { foreignText, gitProblem } from '../../src/git/problems.ts';
import { withoutCredentials } from '../../src/git/protocol/scrub.ts';

const secrets = fc.stringMatching(/^[A-Za-z0-9_+/=@:-]{8,60}$/);
const texts = fc.string({ maxLength: 400 });

test('credentials that a host echoes, plain, in a URL or as a header, whole or truncated, are removed', () => {
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
        for (const echo of [secret, encodeURIComponent(secret), basic]) {
          const problem = gitProblem('git_protocol', `Cannot read "x": the host reported "${foreignText(`${before}${echo}${after}`)}"`);
          const scrubbed = withoutCredentials(problem, credentials);
          // The random text around the echo may contain the secret by chance.
          if (`${before} ${after}`.includes(echo)) continue;
          expect(String(scrubbed)).not.toContain(echo);
          expect(scrubbed).toMatchObject({ code: 'git_protocol', status: problem.status, retry: problem.retry });
        }
      },
    ),
  );
});

test('the beginning of a truncated secret is removed too', () => {
  const token = 'glpat-0123456789abcdef';
  for (let kept = 4; kept < token.length; kept += 1) {
    const text = foreignText(`${'x'.repeat(300 - kept)}${token}`);
    expect(text.endsWith(`${token.slice(0, kept)}…`)).toBe(true);
    const scrubbed = withoutCredentials(gitProblem('git_protocol', text), { token });
    expect(String(scrubbed)).not.toContain(token.slice(0, kept));
  }
});

test('an error without credentials stays the same', () => {
  const problem = gitProblem('git_auth', 'Cannot read "x": the host answered 401');
  expect(withoutCredentials(problem, { token: 'glpat-0123456789abcdef' })).toBe(problem);
  expect(withoutCredentials(problem, undefined)).toBe(problem);
  const error = new Error('glpat-0123456789abcdef');
  expect(withoutCredentials(error, { token: 'glpat-0123456789abcdef' })).toBe(error);
});

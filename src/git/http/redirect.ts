import type { Problem } from '../../errors.ts';
import { foreignText, gitProblem, signInProblem } from '../problems.ts';

/** The suffixes that Git's smart HTTP appends to a repository's address. */
const SERVICE = /\/(?:info\/refs|git-upload-pack|git-receive-pack)$/;
const SIGN_IN = /sign[-_]?in|log[-_]?[io]n|oauth|saml|\bsso\b|\bauth/i;

export function repositoryPath(url: URL): string {
  return url.pathname.replace(SERVICE, '');
}

/**
 * Derives the repository's new address from a redirect of its first request; drops the query, as Git does. Accepts only the same origin, since the
 * credentials are for that origin alone.
 */
export function movedTo(url: URL, location: string | string[] | undefined): URL | undefined {
  const target = targetOf(url, location);
  if (target?.origin !== url.origin || !target.pathname.endsWith('/info/refs')) return undefined;
  const base = new URL(target.origin);
  base.pathname = repositoryPath(target);
  return base.pathname === '/' ? undefined : base;
}

/** Explains why a redirect is not followed. The advice never recommends the redirect's target address. */
export function redirectProblem(url: URL, location: string | string[] | undefined, method: 'GET' | 'POST'): Problem {
  const where = `"${url.origin}${repositoryPath(url)}"`;
  const target = targetOf(url, location);
  if (!target) return gitProblem('git_redirect', `Cannot read ${where}: the host redirects without a valid address`);
  const shown = foreignText(`${target.protocol}//${target.host}${repositoryPath(target)}`);
  if (target.origin === url.origin) {
    if (SERVICE.test(target.pathname))
      return gitProblem('git_redirect', `Cannot read ${where}: the host redirects its requests in a circle`);
    // Only the first request decides: some hosts redirect only later requests to their sign-in.
    if (method === 'GET') return signInProblem(where, `the host redirects to its page "${shown}"`);
    return gitProblem('git_redirect', `Cannot read ${where}: the host redirects to its page "${shown}"`);
  }
  if (target.hostname === url.hostname && url.protocol === 'http:' && target.protocol === 'https:')
    return gitProblem('git_redirect', `Cannot read ${where}: the host redirects to https; begin the source's URL with "https://"`);
  if (method === 'GET' && !SERVICE.test(target.pathname) && SIGN_IN.test(target.host + target.pathname))
    return signInProblem(where, `the host redirects to the page "${shown}"`);
  const advice = 'redirects to other hosts are not followed; if the repository moved, ask its owner for the new URL';
  return gitProblem('git_redirect', `Cannot read ${where}: the host redirects to another origin, "${shown}"; ${advice}`);
}

function targetOf(url: URL, location: string | string[] | undefined): URL | undefined {
  return typeof location === 'string' && URL.canParse(location, url.href) ? new URL(location, url) : undefined;
}

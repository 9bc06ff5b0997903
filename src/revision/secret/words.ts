import { plainLetters } from './languages.ts';

/** The words of a name in any style, in plain letters: `authToken`, `AUTH_TOKEN`, `auth-token`. */
export function wordsOf(name: string): string[] {
  const separated = name
    .slice(0, 256)
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z]{2,20})([A-Z][a-z])/g, '$1 $2');
  return plainLetters(separated)
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

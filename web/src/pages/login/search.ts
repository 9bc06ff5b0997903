import { searchOf, text } from '../../app/search.ts';

/** `next`: the page to go to after the sign-in; `error`: why the sign-in by OIDC failed. */
export const LoginSearch = searchOf({ next: text, error: text });

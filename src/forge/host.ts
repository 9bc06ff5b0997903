import type { z } from 'zod';
import type { ForgeKind } from '../source/forge-settings.ts';
import type { Credentials } from '../source/source.ts';
import type { CommitStatus, MergeRequest, WantedHook } from './forge.ts';

/** What a call is for: decides which permission an error names. */
export type Purpose = 'webhook' | 'comment' | 'status' | 'merge_requests';

/**
 * A kind of git host: how its API is reached, and its endpoints as simple operations on one repository. One file per kind and one line in the registry;
 * what is alike everywhere (finding again, doubles, retries) is not done here.
 */
export type ForgeHost = {
  /** How the API's path ends; what stands before it is where the installation begins. */
  readonly apiPath: string;
  /** Of a host whose API has an origin of its own. */
  readonly knownApis?: Readonly<Record<string, string>>;
  /** Segments of a repository's path. */
  readonly pathSegments: { min: number; max: number };
  /** The query parameter for the size of a page. */
  readonly pageSizeParameter: string;
  /** What the token must be allowed, in the host's own words. */
  readonly permissions: Readonly<Record<Purpose, string>>;
  headers(credentials: Credentials): Record<string, string>;
  open(api: ForgeApi, repository: Repository): HostOperations;
};

export type Repository = {
  /** `group/name`. */
  path: string;
  /** Its page, without a slash at the end. */
  webUrl: string;
  kind: ForgeKind;
};

/** JSON requests below the API's address; every answer is checked against its shape. */
export type ForgeApi = {
  /** All pages, each item once. */
  list<T extends { id: number }>(path: string, query: Record<string, string>, item: z.ZodType<T>): Promise<T[]>;
  send<T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body: unknown, shape: z.ZodType<T>): Promise<T>;
};

export type HostHook = {
  id: number;
  url: string;
  /** All that the host shows of it is as wanted. */
  asWanted: boolean;
  /** No change makes it deliver again: it must be made anew. */
  dead: boolean;
};

export type HostComment = { id: number; body: string; authorId: number | null; url: string };

export type HostOperations = {
  /** The account that the token speaks for; null where the host does not tell. */
  accountId(): Promise<number | null>;
  listHooks(wanted: WantedHook): Promise<HostHook[]>;
  createHook(wanted: WantedHook): Promise<HostHook>;
  updateHook(id: number, wanted: WantedHook): Promise<HostHook>;
  removeHook(id: number): Promise<void>;
  /** An edit does not change the secret of a hook, whatever it answers. */
  readonly keepsSecret?: true;
  /** Lets the host send a delivery now. */
  testHook(id: number): Promise<void>;
  /** The host's id of the repository, as its hooks name it. */
  repositoryId(): Promise<number>;
  hookSettingsUrl(id: number): string;
  readonly maxCommentCharacters: number;
  listComments(mergeRequest: number): Promise<HostComment[]>;
  createComment(mergeRequest: number, body: string): Promise<HostComment>;
  updateComment(mergeRequest: number, id: number, body: string): Promise<HostComment>;
  removeComment(mergeRequest: number, id: number): Promise<void>;
  setStatus(commit: string, name: string, status: CommitStatus): Promise<void>;
  openMergeRequests(targetBranch: string): Promise<MergeRequest[]>;
};

/** TLS certificates are checked unless there are none. */
export function verifiesTls(hook: WantedHook): boolean {
  return hook.url.startsWith('https:');
}

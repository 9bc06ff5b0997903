import type { z } from 'zod';
import type { ForgeKind } from '../source/forge-settings.ts';
import type { Credentials } from '../source/source.ts';
import type { CommitStatus, MergeRequest, WantedHook } from './forge.ts';

/** The purpose of a call; it selects the permission that an error names. */
export type Purpose = 'webhook' | 'comment' | 'status' | 'merge_requests';

/**
 * A kind of git host: the address of its API, and its endpoints as simple operations on one repository. One file per kind and one line in the
 * registry. The common parts (lookup, duplicates, retries) stand in `hook.ts`, `comment.ts`, `one.ts` and `retry.ts`.
 */
export type ForgeHost = {
  /** The end of the API's path; the part before it is the path of the installation. */
  readonly apiPath: string;
  /** API addresses of hosts whose API has another origin than their repositories. */
  readonly knownApis?: Readonly<Record<string, string>>;
  /** Number of segments in a repository's path. */
  readonly pathSegments: { min: number; max: number };
  /** The query parameter for the size of a page. */
  readonly pageSizeParameter: string;
  /** The permission that the token needs, in the host's terms. */
  readonly permissions: Readonly<Record<Purpose, string>>;
  headers(credentials: Credentials): Record<string, string>;
  open(api: ForgeApi, repository: Repository): HostOperations;
};

export type Repository = {
  /** `group/name`. */
  path: string;
  /** Address of its page, without a trailing slash. */
  webUrl: string;
  kind: ForgeKind;
};

/** JSON requests below the API's address. Every response is checked against its schema. */
export type ForgeApi = {
  /** Reads all pages; returns each item once. */
  list<T extends { id: number }>(path: string, query: Record<string, string>, item: z.ZodType<T>): Promise<T[]>;
  send<T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body: unknown, shape: z.ZodType<T>): Promise<T>;
};

export type HostHook = {
  id: number;
  url: string;
  /** Every setting that the host shows is as wanted. */
  asWanted: boolean;
  /** No edit makes it deliver again: it must be replaced. */
  dead: boolean;
};

export type HostComment = { id: number; body: string; authorId: number | null; url: string };

export type HostOperations = {
  /** The account of the token; null if the host does not return it. */
  accountId(): Promise<number | null>;
  listHooks(wanted: WantedHook): Promise<HostHook[]>;
  createHook(wanted: WantedHook): Promise<HostHook>;
  updateHook(id: number, wanted: WantedHook): Promise<HostHook>;
  removeHook(id: number): Promise<void>;
  /** The host's edits never change the secret of a hook. */
  readonly keepsSecret?: true;
  /** Requests a delivery now. */
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

/** The host verifies the certificate of an https URL; an http URL has none. */
export function verifiesTls(hook: WantedHook): boolean {
  return hook.url.startsWith('https:');
}

import { isProblem } from '../errors.ts';
import { type PostedComment, shorten } from './forge.ts';
import type { HostComment, HostOperations } from './host.ts';
import { keepOne } from './one.ts';

type WantedComment = { sourceId: string; mergeRequest: number; markdown: string };

/** Posts or updates the source's single comment on a merge request. A hidden first line identifies the comment. */
export async function postComment(operations: HostOperations, { sourceId, mergeRequest, markdown }: WantedComment): Promise<PostedComment> {
  const marker = `<!-- bellwether:${sourceId} -->`;
  const body = shorten(`${marker}\n\n${markdown}`, operations.maxCommentCharacters);
  const accountId = await accountOf(operations);
  // Anybody can copy the marker, so that the author must match, too.
  const isOurs = (comment: HostComment) => comment.body.startsWith(marker) && (accountId === null || comment.authorId === accountId);
  const { item, before } = await keepOne({
    find: async () => (await operations.listComments(mergeRequest)).filter(isOurs).sort((a, b) => a.id - b.id),
    create: () => operations.createComment(mergeRequest, body),
    update: async (comment) => (isSame(comment.body, body) ? comment : operations.updateComment(mergeRequest, comment.id, body)),
    remove: (comment) => operations.removeComment(mergeRequest, comment.id),
  });
  const posted = before === undefined ? 'created' : isSame(before.body, body) ? 'unchanged' : 'updated';
  return { id: String(item.id), url: item.url, posted };
}

/** Returns null for a token without an account or without the permission to query it. Then the marker alone identifies the comment. */
async function accountOf(operations: HostOperations): Promise<number | null> {
  return operations.accountId().catch((error: unknown) => {
    if (isProblem(error, 'forge_forbidden', 'forge_not_found')) return null;
    throw error;
  });
}

/** Hosts may change line ends and trailing white space. */
function isSame(a: string, b: string): boolean {
  const plain = (text: string) => text.replaceAll('\r\n', '\n').trimEnd();
  return plain(a) === plain(b);
}

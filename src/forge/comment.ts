import { isProblem } from '../errors.ts';
import { type PostedComment, shorten } from './forge.ts';
import type { HostComment, HostOperations } from './host.ts';
import { keepOne } from './one.ts';

type WantedComment = { sourceId: string; mergeRequest: number; markdown: string };

/** The source's one comment on a merge request, which a first line that nobody sees tells from all others. */
export async function postComment(operations: HostOperations, { sourceId, mergeRequest, markdown }: WantedComment): Promise<PostedComment> {
  const marker = `<!-- bellwether:${sourceId} -->`;
  const body = shorten(`${marker}\n\n${markdown}`, operations.maxCommentCharacters);
  const accountId = await accountOf(operations);
  // Anybody can copy the marker: what others wrote is not ours to change.
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

/** null for tokens that stand for no account, or may not ask: then the marker alone decides. */
async function accountOf(operations: HostOperations): Promise<number | null> {
  return operations.accountId().catch((error: unknown) => {
    if (isProblem(error, 'forge_forbidden', 'forge_not_found')) return null;
    throw error;
  });
}

/** Hosts may write line ends and what stands at the end in a way of their own. */
function isSame(a: string, b: string): boolean {
  const plain = (text: string) => text.replaceAll('\r\n', '\n').trimEnd();
  return plain(a) === plain(b);
}

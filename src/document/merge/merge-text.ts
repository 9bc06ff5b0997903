import type { Document, DocumentLimits, Syntax } from '../document.ts';
import { parseText } from '../parse.ts';
import type { Edit } from './edits.ts';
import { editedSlice } from './edits.ts';
import { MergeFault } from './fault.ts';
import type { Meaning } from './meaning.ts';
import { firstDifference, hasNullMember, isNull, meaningOf, mergeMeanings } from './meaning.ts';
import { nullDeletions } from './pieces.ts';
import type { Plan } from './plan.ts';
import { anchorsIn, planMap, REWRITES } from './plan.ts';
import { isEncrypted } from './sops.ts';

/**
 * Applies a merge patch (RFC 7386) to a file as an author would edit it by hand: it edits only the members that the patch names and keeps all other
 * bytes. It parses the result and verifies that it has the same meaning as the merge of both. Returns `base` itself if the patch changes nothing.
 * @throws MergeFault when no edit gives that meaning
 */
export function mergeDocuments(base: Document, patch: Document, syntax: Syntax, limits: DocumentLimits): Document {
  const [root, change] = [base.roots[0], patch.roots[0]];
  if (change === undefined || isNull(meaningOf(change))) return base;
  if (isEncrypted(base) || isEncrypted(patch)) return mergeEncrypted(base, patch);
  if (change.kind !== 'map') return patch;
  if (root?.kind !== 'map' || (syntax === 'yaml' && base.text.trim() === '{}')) return withoutNulls(base, patch, syntax, limits);
  const expected = mergeMeanings(meaningOf(root), meaningOf(change));
  const tag = root.tag ?? change.tag;
  if (tag !== null && firstDifference(meaningOf(root), expected) !== null)
    throw new MergeFault([], 'tag', `has the tag ${tag}: a map with a tag cannot be merged; have one layer give the whole file`);
  const taken = new Set(patch.text.includes('&') ? anchorsIn(root) : []);
  let fault: MergeFault | null = null;
  for (const rewrite of REWRITES) {
    const plan: Plan = { syntax, base: base.text, patch: patch.text, rewrite, taken, edits: [], anchored: null };
    planMap(plan, root, change, [], null);
    if (plan.edits.length === 0) return base;
    const checked = check(base, plan, expected, limits);
    if (!(checked instanceof MergeFault)) return checked;
    fault = plan.anchored === null ? (fault ?? checked) : changedAnchor(plan.anchored, checked);
    if (plan.anchored !== null && rewrite !== 'nothing') break;
  }
  throw fault ?? new MergeFault([], 'merge', 'cannot be merged');
}

function check(base: Document, plan: Plan, expected: Meaning, limits: DocumentLimits): Document | MergeFault {
  const text = editedSlice(base.text, plan.edits);
  return accepted(text, base.hasByteOrderMark, plan.syntax, expected, limits);
}

/** Parses the text and accepts it only with the expected meaning. */
function accepted(
  text: string,
  hasByteOrderMark: boolean,
  syntax: Syntax,
  expected: Meaning,
  limits: DocumentLimits,
): Document | MergeFault {
  const parsed = parseText(text, syntax, limits);
  const detail =
    'cannot be merged without changing what other lines mean: have only one layer give this file, or write the value in another form';
  if (!parsed.ok) return new MergeFault(parsed.fault.path, 'merge', detail);
  const [root] = parsed.document.roots;
  if (root === undefined || parsed.document.parts > 1) return new MergeFault([], 'merge', detail);
  const difference = firstDifference(expected, meaningOf(root));
  if (difference !== null) return new MergeFault(difference, 'merge', detail);
  return { ...parsed.document, hasByteOrderMark };
}

/** Replaces a lower file without a map by the upper file, without the members that are null. */
function withoutNulls(base: Document, patch: Document, syntax: Syntax, limits: DocumentLimits): Document {
  const [root] = patch.roots;
  const comment = syntax === 'yaml' && base.roots.length === 0 && base.text.trim() !== '' ? `${base.text.trimEnd()}\n` : '';
  const lead = patch.text.startsWith(comment.trimEnd()) ? '' : comment;
  if (root === undefined) return patch;
  const change = meaningOf(root);
  if (lead === '' && !hasNullMember(change)) return patch;
  const edits: Edit[] = root.kind === 'map' ? nullDeletions(patch.text, root) : [];
  const text = lead + editedSlice(patch.text, edits);
  const result = accepted(text, base.hasByteOrderMark || patch.hasByteOrderMark, syntax, mergeMeanings(undefined, change), limits);
  if (result instanceof MergeFault) throw result;
  return result;
}

function mergeEncrypted(base: Document, patch: Document): Document {
  if (isEncrypted(base) && isEncrypted(patch)) return patch;
  const which = isEncrypted(patch) ? 'this file' : 'the file below it';
  const detail = `cannot be merged: ${which} is encrypted by SOPS, whose checksum covers the whole file; encrypt both (the later one then replaces the other), or have one layer give it`;
  throw new MergeFault([], 'sops', detail);
}

function changedAnchor({ node, path }: NonNullable<Plan['anchored']>, { path: at }: MergeFault): MergeFault {
  const name = node.kind === 'alias' ? '' : (node.anchor ?? '');
  const where = at.length === 0 ? 'other places' : `/${at.join('/')}`;
  const detail = `changes what the file below anchors as &${name} and repeats elsewhere (${where}): change those places themselves, or write the anchor's value out there`;
  return new MergeFault(path, 'anchor', detail);
}

import type { Span } from './document.ts';
import type { SourceNode } from './node.ts';
import { membersOf, resolved } from './node.ts';

/** Returns every value of the text in order. A member inherited by a merge key has the position of that key. */
export function spansOf(roots: readonly SourceNode[]): Span[] {
  const spans: Span[] = [];
  for (const [index, root] of roots.entries()) collect(spans, root, roots.length > 1 ? [String(index)] : [], root.start);
  return spans;
}

function collect(spans: Span[], node: SourceNode, path: readonly string[], keyStart: number): void {
  const { start, end } = node;
  if (node.kind === 'scalar') {
    spans.push({ path, keyStart, start, end, kind: 'scalar', value: node.value });
  } else if (node.kind === 'alias') {
    spans.push({ path, keyStart, start, end, kind: 'alias', ...aliased(node.target) });
  } else {
    spans.push({ path, keyStart, start, end, kind: 'collection' });
    if (node.kind === 'list') for (const [index, item] of node.items.entries()) collect(spans, item, [...path, String(index)], item.start);
    else for (const pair of node.pairs) collect(spans, pair.value, [...path, pair.name], pair.key.start);
    if (node.kind !== 'map' || !node.pairs.some((pair) => pair.isMerge)) return;
    for (const [name, { pair, via }] of membersOf(node)) {
      if (via === null) continue;
      const place = { keyStart: via.key.start, start: via.value.start, end: via.value.end };
      spans.push({ path: [...path, name], ...place, kind: 'alias', ...aliased(resolved(pair.value)) });
    }
  }
}

function aliased(target: SourceNode): Pick<Span, 'value' | 'target'> {
  const { start, end } = target;
  return { target: { start, end }, ...(target.kind === 'scalar' ? { value: target.value } : {}) };
}

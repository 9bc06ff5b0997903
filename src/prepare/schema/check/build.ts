import { isRecord, toPointer } from '../../../document/document.ts';
import { isKeywordOf, isPlainReference } from '../dialect.ts';
import type { LinkedSchema } from '../link.ts';
import type { Resource, SchemaNode } from '../resources.ts';
import { APPLICATORS, LAST } from './applicators.ts';
import { ASSERTIONS } from './assertions.ts';
import type { Keyword } from './keyword.ts';
import { isMarkedSecret, report } from './keyword.ts';
import type { Check, Scope } from './visit.ts';
import { Evaluated, Unjudged } from './visit.ts';

export type BuildOptions = {
  /** `format` is checked, not only read. */
  formats: boolean;
};

/** Makes a linked schema into one check. Each schema of it is built once, however often it is referred to. */
export function buildCheck(linked: LinkedSchema, options: BuildOptions): Check {
  const builder = new Builder(linked, options);
  for (const node of linked.nodes) builder.build(node);
  return builder.checkOf(linked.root);
}

type Slot = { check: Check; indirect: Check };

class Builder {
  #linked: LinkedSchema;
  #options: BuildOptions;
  #slots = new Map<SchemaNode, Slot>();
  #byPlace = new Map<Resource['source'], Map<string, SchemaNode>>();
  /** Only dynamic references ask which resources led to a schema. */
  #tracksScope: boolean;

  constructor(linked: LinkedSchema, options: BuildOptions) {
    this.#linked = linked;
    this.#options = options;
    for (const node of linked.nodes) {
      const { source } = node.resource;
      const nodes = this.#byPlace.get(source) ?? new Map<string, SchemaNode>();
      this.#byPlace.set(source, nodes.set(toPointer(node.path), node));
    }
    this.#tracksScope = [...linked.targets.values()].some(
      (targets) => targets.$dynamicRef !== undefined || targets.$recursiveRef !== undefined,
    );
  }

  build(node: SchemaNode): void {
    this.#slotOf(node).check = this.#make(node);
  }

  /** Usable before the schema is built: schemas may refer to themselves. */
  checkOf(node: SchemaNode): Check {
    return this.#slotOf(node).indirect;
  }

  #slotOf(node: SchemaNode): Slot {
    const known = this.#slots.get(node);
    if (known !== undefined) return known;
    const slot: Slot = { check: () => true, indirect: (value, visit) => slot.check(value, visit) };
    this.#slots.set(node, slot);
    return slot;
  }

  #make(node: SchemaNode): Check {
    const { value: schema } = node;
    if (schema === false) return (value, visit) => report(visit, this.#keyword(node, {}, 'false schema'), { value });
    if (!isRecord(schema)) return () => true;
    const first: Check[] = [];
    const last: Check[] = [];
    for (const name of this.#keywordsOf(node, schema)) {
      const check = this.#checkOfKeyword(this.#keyword(node, schema, name));
      if (check !== null) (Object.hasOwn(LAST, name) ? last : first).push(check);
    }
    return this.#sequence(node, [...first, ...last], last.length > 0, isMarkedSecret(schema));
  }

  #keywordsOf(node: SchemaNode, schema: Record<string, unknown>): string[] {
    const { draft } = node.resource;
    if (isPlainReference(schema, draft)) return ['$ref'];
    return Object.keys(schema).filter((name) => isKeywordOf(draft, name) && (name !== 'format' || this.#options.formats));
  }

  #keyword(node: SchemaNode, schema: Record<string, unknown>, name: string): Keyword {
    const { source } = node.resource;
    return {
      name,
      value: schema[name],
      node,
      schema,
      check: (...path) => {
        const inner = this.#byPlace.get(source)?.get(toPointer([...node.path, ...path]));
        return inner === undefined ? () => true : this.checkOf(inner);
      },
    };
  }

  #checkOfKeyword(keyword: Keyword): Check | null {
    const { name, node } = keyword;
    const targets = this.#linked.targets.get(node) ?? {};
    if (name === '$ref') return targets.$ref === undefined ? null : this.checkOf(targets.$ref);
    if (name === '$dynamicRef') return targets.$dynamicRef === undefined ? null : this.#dynamic(targets.$dynamicRef, String(keyword.value));
    if (name === '$recursiveRef') return targets.$recursiveRef === undefined ? null : this.#recursive(targets.$recursiveRef);
    for (const table of [ASSERTIONS, APPLICATORS, LAST]) if (Object.hasOwn(table, name)) return table[name]?.(keyword) ?? null;
    return null;
  }

  #sequence({ resource }: SchemaNode, checks: readonly Check[], ownsEvaluated: boolean, isSecret: boolean): Check {
    return (value, visit) => {
      if (isSecret) visit.findings.secrets.push(visit.place);
      if (value instanceof Unjudged) return true;
      const entersScope = this.#tracksScope && visit.scope?.resource !== resource;
      const scope = entersScope ? { resource, outer: visit.scope } : visit.scope;
      const evaluated = ownsEvaluated ? new Evaluated() : visit.evaluated;
      const inner = entersScope || ownsEvaluated ? { ...visit, scope, evaluated } : visit;
      let isValid = true;
      for (const check of checks) if (!check(value, inner)) isValid = false;
      if (ownsEvaluated && evaluated !== null) visit.evaluated?.merge(evaluated);
      return isValid;
    };
  }

  /** Means the outermost schema of that name on the way, if the one that it means by itself is open to that. */
  #dynamic(target: SchemaNode, reference: string): Check {
    const name = reference.slice(reference.indexOf('#') + 1);
    if (target.resource.dynamicAnchors.get(name) !== target) return this.checkOf(target);
    return this.#outermost(target, (resource) => resource.dynamicAnchors.get(name));
  }

  #recursive(target: SchemaNode): Check {
    if (!target.resource.isRecursive) return this.checkOf(target);
    return this.#outermost(target, (resource) =>
      resource.isRecursive ? this.#byPlace.get(resource.source)?.get(toPointer(resource.path)) : undefined,
    );
  }

  #outermost(target: SchemaNode, nodeIn: (resource: Resource) => SchemaNode | undefined): Check {
    return (value, visit) => {
      let found = target;
      for (let scope: Scope = visit.scope; scope !== null; scope = scope.outer) found = nodeIn(scope.resource) ?? found;
      return this.checkOf(found)(value, visit);
    };
  }
}

import { expect, test } from 'vitest';
import { Budget } from '../../src/prepare/meter/budget.ts';
import type { Allowance } from '../../src/prepare/meter/meter.ts';
import { Meter } from '../../src/prepare/meter/meter.ts';
import { objectCache } from '../../src/prepare/object-cache.ts';
import { loadSchema, type SchemaClosure } from '../../src/prepare/schema/closure.ts';
import { compileSchema } from '../../src/prepare/schema/compile.ts';
import type { SchemaNode } from '../../src/prepare/schema/resources.ts';
import { defaultRevisionLimits as limits } from '../../src/revision/limits.ts';
import { MemorySource } from '../revision/memory-source.ts';

/** Repeats everything once, as after an interruption on a busy machine. */
class RepeatingMeter extends Meter {
  repeated = 0;

  override run<T>(isQuick: boolean, work: (allowance: Allowance) => T): T {
    return super.run(isQuick, ({ msLeft }) =>
      work({
        msLeft,
        within: (run) => {
          run();
          this.repeated += 1;
          return run();
        },
      }),
    );
  }
}

const placeOf = ({ resource, path }: SchemaNode) => `${resource.source.name}#/${path.join('/')}`;
const referencesOf = (targets: SchemaClosure['targets']) =>
  [...targets].flatMap(([from, references]) => Object.values(references).map((to) => `${placeOf(from)} → ${placeOf(to)}`)).sort();

const schemas = {
  'schemas/app.json': JSON.stringify({
    $id: 'https://example.com/app',
    properties: { port: { $ref: 'common#/$defs/port' }, inner: { $ref: '#/$defs/inner' }, odd: { $ref: '#/x-parts/odd' } },
    $defs: {
      inner: { $id: 'inner', $anchor: 'here', type: 'object', properties: { again: { $ref: '#here' } } },
      common: { $ref: 'common.json' },
    },
    'x-parts': { odd: { pattern: '^(?=a)a+$' } },
  }),
  'schemas/common.json': JSON.stringify({ $id: 'https://example.com/common', $defs: { port: { type: 'integer', maximum: 65535 } } }),
};

test('a schema whose linking is repeated is the schema that one run gives', async () => {
  const source = new MemorySource();
  const rootTreeOid = source.tree(schemas);
  const objects = objectCache(source, limits, new AbortController().signal);
  const budget = new Budget(limits);
  const load = async (meter: Meter) => {
    const paths: string[] = [];
    const { closure, errors } = await loadSchema(
      { objects, rootTreeOid, builtins: new Map(), limits, budget },
      'schemas/app.json',
      paths,
      meter,
    );
    expect(errors).toEqual([]);
    if (closure === null) throw new Error('Cannot load the schema');
    const { nodes, roots, targets } = closure;
    return {
      closure,
      shape: { paths, nodes: nodes.map(placeOf).sort(), roots: roots.map(placeOf).sort(), references: referencesOf(targets) },
    };
  };
  const meter = new RepeatingMeter(budget, 'schemas/app.json');
  const repeated = await load(meter);
  expect(meter.repeated).toBeGreaterThan(2);
  expect(repeated.shape).toEqual((await load(new Meter(budget, 'schemas/app.json'))).shape);
  const compilation = compileSchema(repeated.closure);
  if (!compilation.ok) throw new Error('Cannot compile the schema');
  const value = { port: 70_000, inner: { again: { again: 7 } }, odd: 'b' };
  expect(compilation.schema.check(value).faults.map(({ keyword }) => keyword)).toEqual(['maximum', 'type', 'pattern']);
});

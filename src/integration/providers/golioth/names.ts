import { z } from 'zod';
import { type Golioth, listOf, organizationPath, PER_PAGE, projectPath } from './api.ts';

/** Names of tags, blueprints and cohorts, which devices carry as ids. Read once for all devices of an opened platform, and again for an unknown id. */
export type Names = {
  tag(id: string, signal: AbortSignal): Promise<string>;
  blueprint(id: string, signal: AbortSignal): Promise<string>;
  cohort(id: string, signal: AbortSignal): Promise<string>;
  /** Ids of the tags of these names. A tag that does not exist is created. */
  idsOf(tags: readonly string[], signal: AbortSignal): Promise<string[]>;
  /** Id of the cohort, which is created when it does not exist. */
  ensureCohort(name: string, signal: AbortSignal): Promise<string>;
  /** undefined: no cohort has the name. */
  cohortId(name: string, signal: AbortSignal): Promise<string | undefined>;
};

const Named = z.object({ id: z.string(), name: z.string().default('') });
const Cohort = z.object({ cohortId: z.string(), name: z.string().default('') }).transform(({ cohortId, name }) => ({ id: cohortId, name }));
/** 10,000 tags. */
const MAX_PAGES = 100;

type Known = Map<string, string>;
type Kind = 'tags' | 'blueprints' | 'cohorts';

export function createNames(golioth: Golioth): Names {
  const known: Partial<Record<Kind, Promise<Known>>> = {};
  /** Ids that no list shows: each costs one more read, and not one for each device that has it. */
  const missing = new Set<string>();
  const load = (kind: Kind, signal: AbortSignal): Promise<Known> => {
    const loading = readAll(golioth, kind, signal);
    known[kind] = loading;
    // A failed read is read again by the next caller.
    loading.catch(() => {
      if (known[kind] === loading) delete known[kind];
    });
    return loading;
  };
  const nameOf = async (kind: Kind, id: string, signal: AbortSignal): Promise<string> => {
    const first = known[kind] ?? load(kind, signal);
    const found = (await first).get(id);
    if (found !== undefined || missing.has(id)) return found ?? id;
    // Devices of the same page ask at the same time, for one read.
    const name = (await (known[kind] === first ? load(kind, signal) : (known[kind] ?? load(kind, signal)))).get(id);
    if (name === undefined) missing.add(id);
    return name ?? id;
  };
  const idOf = async (kind: Kind, name: string, signal: AbortSignal): Promise<string | undefined> => {
    for (const [id, other] of await load(kind, signal)) if (other === name) return id;
    return undefined;
  };
  return {
    tag: (id, signal) => nameOf('tags', id, signal),
    blueprint: (id, signal) => nameOf('blueprints', id, signal),
    cohort: (id, signal) => nameOf('cohorts', id, signal),
    idsOf: async (tags, signal) => {
      const ids: string[] = [];
      for (const name of tags) ids.push((await idOf('tags', name, signal)) ?? (await createTag(golioth, name, signal)));
      return ids;
    },
    ensureCohort: async (name, signal) => (await idOf('cohorts', name, signal)) ?? createCohort(golioth, name, signal),
    cohortId: (name, signal) => idOf('cohorts', name, signal),
  };
}

async function readAll(golioth: Golioth, kind: Kind, signal: AbortSignal): Promise<Known> {
  const path = kind === 'cohorts' ? await organizationPath(golioth, signal, kind) : projectPath(golioth, kind);
  const shape: z.ZodType<{ id: string; name: string }> = kind === 'cohorts' ? Cohort : Named;
  const found: Known = new Map();
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const call = { doing: `list the ${kind}`, method: 'GET', path, query: { page, perPage: PER_PAGE }, signal } as const;
    const { list } = await golioth.read(call, listOf(shape));
    for (const { id, name } of list) found.set(id, name);
    if (list.length < PER_PAGE) break;
  }
  return found;
}

async function createTag(golioth: Golioth, name: string, signal: AbortSignal): Promise<string> {
  const call = { doing: `create tag "${name}"`, method: 'POST', path: projectPath(golioth, 'tags'), body: { name }, signal } as const;
  return (await golioth.read(call, z.object({ data: Named }))).data.id;
}

async function createCohort(golioth: Golioth, name: string, signal: AbortSignal): Promise<string> {
  const path = await organizationPath(golioth, signal, 'cohorts');
  const call = { doing: `create cohort "${name}"`, method: 'POST', path, body: { name }, signal } as const;
  return (await golioth.read(call, z.object({ data: Cohort }))).data.id;
}

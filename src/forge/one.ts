import { isProblem } from '../errors.ts';

type OneOf<Item> = {
  /** Finds the items of this source, oldest first. */
  find(): Promise<Item[]>;
  create(): Promise<Item>;
  /** @param isRaced another caller created it after `find` found none, with the wanted visible settings */
  update(item: Item, isRaced: boolean): Promise<Item>;
  remove(item: Item): Promise<void>;
};

/** After this many conflicts with another caller, the call fails. */
const MAX_TURNS = 3;

/**
 * Ensures exactly one item at the host: updates the oldest or creates one, and removes duplicates. Hosts have no atomic "create unless it exists",
 * so that two callers may both create. Each one lists the items again afterwards, and both keep the oldest. This also repairs a creation whose
 * response was lost.
 *
 * @returns the item, and the one that existed before (undefined: the item is new)
 */
export async function keepOne<Item extends { id: number }>(kind: OneOf<Item>): Promise<{ item: Item; before: Item | undefined }> {
  for (let turn = 1; ; turn++) {
    const found = await kind.find();
    try {
      return await ensureOnce(kind, found, turn > 1);
    } catch (error) {
      // Another caller created or removed it after `find`.
      if (turn === MAX_TURNS || !isProblem(error, 'forge_conflict', 'forge_not_found')) throw error;
    }
  }
}

async function ensureOnce<Item extends { id: number }>(
  kind: OneOf<Item>,
  [before, ...doubles]: readonly Item[],
  isRaced: boolean,
): Promise<{ item: Item; before: Item | undefined }> {
  if (before !== undefined) {
    const item = await kind.update(before, isRaced);
    await removeAll(kind, doubles);
    return { item, before };
  }
  const created = await kind.create();
  const [oldest = created, ...later] = await kind.find();
  const item = oldest.id === created.id ? created : await kind.update(oldest, true);
  await removeAll(kind, later);
  return { item, before: undefined };
}

/** Both callers remove duplicates, so that the second one may get a 404. */
async function removeAll<Item>(kind: OneOf<Item>, items: readonly Item[]): Promise<void> {
  for (const item of items) {
    await kind.remove(item).catch((error: unknown) => {
      if (!isProblem(error, 'forge_not_found')) throw error;
    });
  }
}

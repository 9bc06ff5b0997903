import { isProblem } from '../errors.ts';

type OneOf<Item> = {
  /** Those that are ours, oldest first. */
  find(): Promise<Item[]>;
  create(): Promise<Item>;
  /** @param isRaced somebody else made it since `find` found none, as it is wanted as far as the host shows */
  update(item: Item, isRaced: boolean): Promise<Item>;
  remove(item: Item): Promise<void>;
};

/** Somebody who goes on making and removing the same thing is not outwaited. */
const MAX_TURNS = 3;

/**
 * Leaves exactly one of its kind at the host, as wanted: the oldest is updated, or one is made; doubles are removed. Hosts have no "create unless it is
 * there", so that two callers may both find nothing and both create: each looks again afterwards, and both keep the oldest. The same heals a creation
 * whose answer was lost.
 *
 * @returns what is left, and what was there before (undefined: it is new)
 */
export async function keepOne<Item extends { id: number }>(kind: OneOf<Item>): Promise<{ item: Item; before: Item | undefined }> {
  for (let turn = 1; ; turn++) {
    const found = await kind.find();
    try {
      return await settle(kind, found, turn > 1);
    } catch (error) {
      // Made, or removed, by somebody else since it was looked for.
      if (turn === MAX_TURNS || !isProblem(error, 'forge_conflict', 'forge_not_found')) throw error;
    }
  }
}

async function settle<Item extends { id: number }>(
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

/** Both callers remove: whoever comes second finds it gone. */
async function removeAll<Item>(kind: OneOf<Item>, items: readonly Item[]): Promise<void> {
  for (const item of items) {
    await kind.remove(item).catch((error: unknown) => {
      if (!isProblem(error, 'forge_not_found')) throw error;
    });
  }
}

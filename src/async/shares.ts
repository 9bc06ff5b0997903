/** Places that organizations share fairly. */
export type Shares = {
  /** @returns the function that releases the place; undefined when the organization's share or all places are taken */
  take(organizationId: string): (() => void) | undefined;
};

/**
 * An organization may hold as many places as it leaves free. A single one gets half of them, each of two a third, each of n the (n+1)th part. An
 * organization without a place therefore always gets one. Source: the dynamic threshold of Choudhury and Hahne, 1998, with factor 1.
 */
export function openShares(places: number): Shares {
  const takenBy = new Map<string, number>();
  let taken = 0;
  const change = (organizationId: string, by: 1 | -1) => {
    taken += by;
    const its = (takenBy.get(organizationId) ?? 0) + by;
    if (its === 0) takenBy.delete(organizationId);
    else takenBy.set(organizationId, its);
  };
  return {
    take: (organizationId) => {
      const free = places - taken;
      const its = takenBy.get(organizationId) ?? 0;
      if (free <= 0 || its >= free) return undefined;
      change(organizationId, 1);
      let isTaken = true;
      return () => {
        if (isTaken) change(organizationId, -1);
        isTaken = false;
      };
    },
  };
}

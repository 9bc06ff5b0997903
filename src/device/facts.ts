/** Facts of a device on which its configuration may depend. */
export type DeviceFacts = {
  id: string;
  name: string;
  type: string;
  labels: Record<string, string>;
  /** Its site's name. */
  site: string | null;
};

export type Fact = keyof DeviceFacts;

/** Facts for a folder to which no device is bound: those of a device with the folder's name and defaults for the rest. */
export function factsOfFolder(path: string): DeviceFacts {
  const name = path.split('/').at(-1) ?? path;
  return { id: name, name, type: 'device', labels: {}, site: null };
}

/** Returns the facts in which `one` and `other` differ. */
export function differingFacts(one: DeviceFacts, other: DeviceFacts, facts: Iterable<Fact>): Fact[] {
  return [...facts].filter((fact) => canonical(one[fact]) !== canonical(other[fact]));
}

function canonical(fact: DeviceFacts[Fact]): string {
  const isPlain = fact === null || typeof fact === 'string';
  return JSON.stringify(isPlain ? fact : Object.entries(fact).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What is known of a device that its configuration may depend on. */
export type DeviceFacts = {
  id: string;
  name: string;
  type: string;
  labels: Record<string, string>;
  /** Its site's name. */
  site: string | null;
};

export type Fact = keyof DeviceFacts;

/** For a folder that no device is bound to: as if for one of the folder's name, of which nothing else is known. */
export function factsOfFolder(path: string): DeviceFacts {
  const name = path.split('/').at(-1) ?? path;
  return { id: name, name, type: 'device', labels: {}, site: null };
}

/** Facts of which `one` and `other` say different things. */
export function differingFacts(one: DeviceFacts, other: DeviceFacts, facts: Iterable<Fact>): Fact[] {
  return [...facts].filter((fact) => canonical(one[fact]) !== canonical(other[fact]));
}

function canonical(fact: DeviceFacts[Fact]): string {
  const isPlain = fact === null || typeof fact === 'string';
  return JSON.stringify(isPlain ? fact : Object.entries(fact).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Default branch of an exhaustive switch. The compiler rejects a call that a value can reach. @throws always */
export function unreachable(value: never): never {
  throw new Error(`unexpected value ${JSON.stringify(value)}`);
}

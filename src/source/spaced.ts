/**
 * Acts on a key at once, and once more for all further calls of the next `restMs`, when that time is over: of a storm of calls few are acted on, the last
 * one's act begins after it, and who calls once does not wait. A process that ends acts no more: whatever must not be lost is to be written elsewhere.
 */
export function spaced(restMs: number, act: (key: string) => void): (key: string) => void {
  /** Keys that rest, and whether they were called meanwhile. */
  const resting = new Map<string, boolean>();
  const begin = (key: string) => {
    resting.set(key, false);
    setTimeout(() => {
      const isCalled = resting.get(key) === true;
      resting.delete(key);
      if (isCalled) begin(key);
    }, restMs).unref();
    act(key);
  };
  return (key) => {
    if (resting.has(key)) resting.set(key, true);
    else begin(key);
  };
}

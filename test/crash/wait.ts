export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Polls until the answer is true or the time limit passed. A failed request (during an outage) counts as false. @returns the last answer */
export async function within(timeoutMs: number, ask: () => Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const asked = performance.now();
    if (await ask().catch(() => false)) return true;
    if (Date.now() > deadline) return false;
    await pause(Math.max(50, 3 * (performance.now() - asked)));
  }
}

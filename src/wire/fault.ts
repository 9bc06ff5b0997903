/** Called at named instants, each directly before or after something that outlives the process; does nothing in the field. */
export type Fault<Point extends string> = (point: Point) => void;

/**
 * For tests: `after_swap` kills the process at that point, as a power cut would; `during_download:ENOSPC` throws that error once instead.
 * `after_swap#2` waits for the second time that the point is reached.
 */
export function createFault<Point extends string>(spec: string | undefined, kill: () => void): Fault<Point> {
  const match = /^([a-z_]+)(?::([A-Z]+))?(?:#(\d+))?$/.exec(spec ?? '');
  if (match === null) return noFault;
  const [, wanted, errorCode] = match;
  let remaining = Number(match[3] ?? 1);
  return (point) => {
    if (point !== wanted) return;
    remaining -= 1;
    if (remaining !== 0) return;
    if (errorCode === undefined) return kill();
    // With a number, as the errors of the system have it.
    throw Object.assign(new Error(`${errorCode}: injected at ${point}`), { code: errorCode, errno: -1 });
  };
}

export const noFault = (): void => undefined;

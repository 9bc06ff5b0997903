/** Called at named instants, each directly before or after a durable change. It does nothing in production. */
export type Fault<Point extends string> = (point: Point) => void;

/**
 * For tests: `after_swap` kills the process at that point, as a power cut would. `during_download:ENOSPC` throws that error once instead.
 * `after_swap#2` acts at the second call of the point.
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
    // With a number, like the errors of the system.
    throw Object.assign(new Error(`${errorCode}: injected at ${point}`), { code: errorCode, errno: -1 });
  };
}

export const noFault = (): void => undefined;

import { messageOf } from '../src/errors.ts';

/** A job failed for some devices of an organization and succeeded for the others. */
export class DevicesFailed extends Error {
  readonly deviceIds: readonly string[];

  constructor(errors: ReadonlyMap<string, unknown>) {
    const [first] = errors;
    const others = errors.size > 1 ? `, and ${errors.size - 1} more devices` : '';
    super(`device "${first?.[0]}": ${messageOf(first?.[1])}${others}`, { cause: first?.[1] });
    this.deviceIds = [...errors.keys()];
  }
}

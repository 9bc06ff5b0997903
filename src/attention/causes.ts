import type { Db } from '../db/connect.ts';
import { normalDetail } from '../deployment/causes.ts';
import type { CauseGroup } from './attention.ts';
import type { Places } from './places.ts';
import { type CauseRow, sampleLines } from './store/failures.ts';
import { shownText } from './titles.ts';

/** Adds a line of the first device's log to each cause, and where the commit caused it. The text of a device is shown without secrets. */
export async function groupsOf(sql: Db, organizationId: string, rows: readonly CauseRow[], places: Places): Promise<CauseGroup[]> {
  const [samples, placeOf] = await Promise.all([sampleLines(sql, organizationId, rows), places(organizationId, rows)]);
  return rows.map((row) => {
    const { cause, code, count, deviceId, deploymentId, since, lastAt } = row;
    const sample = samples.get(deploymentId);
    const reported = { at: since, level: 'error', message: shownText(row.detail) };
    return {
      ...{ cause, code, count, deploymentId, since, lastAt, firstDevice: deviceId },
      // Redacted first: the pattern of a secret may need its digits.
      detail: normalDetail({ detail: shownText(row.detail), deviceId }),
      sample:
        sample !== undefined
          ? { at: sample.at, level: sample.level, message: shownText(sample.message) }
          : row.detail === ''
            ? null
            : reported,
      place: placeOf(row),
    };
  });
}

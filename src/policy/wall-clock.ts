import { LRUCache } from 'lru-cache';

/**
 * Local times of IANA time zones. A wall time is the time that a local clock shows, as the milliseconds of the same reading in UTC. A day is
 * a wall time divided by 24 hours, rounded down.
 */
export const MINUTE_MS = 60_000;
export const DAY_MS = 24 * 60 * MINUTE_MS;

/** The change of a zone's offset near a day. Offsets are milliseconds east of UTC; `before` = `after` if there is no change. */
export type ClockChange = { at: number; before: number; after: number };

const formats = new LRUCache<string, Intl.DateTimeFormat>({ max: 100 });

/** All three-letter names in IANA's database. */
const SHORT_ZONES = new Set('CET EET EST GMT HST MET MST PRC ROC ROK UCT UTC WET'.split(' '));

/** Whether IANA's time zone database has the name, ignoring case. */
export function isTimeZone(name: string): boolean {
  // The runtime accepts more names: offsets such as "+01:00", which have no daylight saving, and ICU's old names ("IST", "PST",
  // "SystemV/PST8"), which other programs interpret as other zones.
  if (!/^[A-Za-z]/.test(name) || /^SystemV\//i.test(name)) return false;
  if (name.length === 3 && !SHORT_ZONES.has(name.toUpperCase())) return false;
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

export function wallTime(timeZone: string, instantMs: number): number {
  return instantMs + offsetAt(formatOf(timeZone), instantMs);
}

/** Offsets range from 14 hours east to 12 hours west of UTC, so a margin of one day is enough. Changes are weeks apart. */
export function clockChangeNear(timeZone: string, day: number): ClockChange {
  const format = formatOf(timeZone);
  let low = (day - 1) * DAY_MS;
  let high = (day + 2) * DAY_MS;
  const before = offsetAt(format, low);
  const after = offsetAt(format, high);
  if (before === after) return { at: low, before, after };
  while (high - low > MINUTE_MS) {
    const middle = Math.floor((low + high) / 2 / MINUTE_MS) * MINUTE_MS;
    if (offsetAt(format, middle) === before) low = middle;
    else high = middle;
  }
  return { at: high, before, after };
}

/** The instant of a wall time: the first pass if clocks repeat it, the end of the gap if clocks skip it. */
export function instantOf(wallMs: number, change: ClockChange): number {
  const firstPass = wallMs - change.before;
  return firstPass < change.at ? firstPass : Math.max(wallMs - change.after, change.at);
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known) return known;
  const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  formats.set(timeZone, format);
  return format;
}

/** The format ends with the offset: "11/22/2026, GMT+05:45". */
function offsetAt(format: Intl.DateTimeFormat, instantMs: number): number {
  const [, sign, hours, minutes, seconds] = /([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(format.format(instantMs)) ?? [];
  const size = Number(hours ?? 0) * 60 * MINUTE_MS + Number(minutes ?? 0) * MINUTE_MS + Number(seconds ?? 0) * 1000;
  return sign === '-' ? -size : size;
}

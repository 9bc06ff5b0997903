import { Cron } from 'croner';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { messageOf } from '../errors.ts';
import { type ClockChange, clockChangeNear, DAY_MS, instantOf, isTimeZone, MINUTE_MS, wallTime } from './wall-clock.ts';

const MAX_WINDOWS = 20;
const MAX_DURATION_DAYS = 7;
/** Separate windows that all crons of a policy may produce per day. Bounds the time of the search for the next change. */
const MAX_WINDOWS_A_DAY = 288;
const HORIZON_DAYS = 400;
/** A fixed date, so that the validity of a cron does not depend on the time of the check. */
const CRON_CHECKED_FROM = new Date('2026-01-01T00:00:00Z');

/** `cron` has five fields, read in the policy's time zone: minute, hour, day of the month, month, day of the week. */
const Recurring = z.strictObject({
  cron: z.string().max(200),
  durationMinutes: z
    .int()
    .min(1)
    .max((MAX_DURATION_DAYS * DAY_MS) / MINUTE_MS),
});
type Recurring = z.infer<typeof Recurring>;

/** RFC 3339. Without an offset: a local time in the policy's time zone. */
const Moment = z.iso.datetime({
  offset: true,
  local: true,
  error: 'must be a time such as "2026-03-01T02:00" (of the time zone), "2026-03-01T02:00:00Z" or "2026-03-01T02:00:00+01:00"',
});
const Fixed = z.strictObject({ from: Moment, to: Moment });
type Fixed = z.infer<typeof Fixed>;

/**
 * When a rollout may open waves. Without `allow` it may at any time. `deny` overrides `allow`. No wave opens before `notBefore`.
 *
 * A window begins at a local time and lasts for its duration in elapsed minutes, regardless of clock changes. If clocks skip the local time of
 * its start, it begins at the end of the gap. If clocks repeat that local time, it begins once, in the first pass. The same rules apply to
 * `from` and `to` without an offset.
 */
export const RolloutWindows = z
  .strictObject({
    /** IANA name, such as Europe/Berlin. */
    timeZone: z.string().max(64),
    allow: z.array(Recurring).max(MAX_WINDOWS).optional(),
    deny: z
      .array(z.union([Recurring, Fixed]))
      .max(MAX_WINDOWS)
      .optional(),
    notBefore: z.iso
      .datetime({ offset: true, error: 'must be a time with its offset, such as "2026-03-01T02:00:00Z" or "2026-03-01T02:00:00+01:00"' })
      .optional(),
  })
  .superRefine((windows, context) => {
    for (const { path, message } of faultsOf(windows)) context.addIssue({ code: 'custom', path, message });
  });
export type RolloutWindows = z.infer<typeof RolloutWindows>;

/** `closesAt` and `opensAt`: the exact time of the next change; null when there is none within 400 days. */
export type WindowState = { open: true; closesAt: Date | null } | { open: false; opensAt: Date | null; why: string };

/** Milliseconds; `end` is exclusive. */
type Span = { start: number; end: number };
const ALWAYS: Span = { start: Number.NEGATIVE_INFINITY, end: Number.POSITIVE_INFINITY };

/** Whether waves may open at `now`. Pure; overlapping and adjoining windows count as one. @param windows as `RolloutWindows` parsed them */
export function windowState(windows: RolloutWindows, now: Date): WindowState {
  const at = now.getTime();
  const until = at + HORIZON_DAYS * DAY_MS;
  const span = spanEndingAfter(at, openSpans(windows, at, until));
  if (span && span.start <= at) return { open: true, closesAt: span.end > until ? null : new Date(span.end) };
  const opensAt = span && span.start <= until ? new Date(span.start) : null;
  return { open: false, opensAt, why: whyClosed(windows, at, opensAt) };
}

function openSpans(windows: RolloutWindows, from: number, until: number): Iterable<Span> {
  const { timeZone, allow = [] } = windows;
  const allowed = allow.length > 0 ? merged(recurringSpans(timeZone, allow, from, until)) : [ALWAYS];
  return deniedSpans(windows, from, until).reduce((open, denied) => without(open, denied), allowed as Iterable<Span>);
}

/** Each in order and without overlap. */
function deniedSpans({ timeZone, deny = [], notBefore }: RolloutWindows, from: number, until: number): Iterable<Span>[] {
  const fixed = deny.filter((window) => 'from' in window).map((window) => fixedSpan(timeZone, window));
  if (notBefore !== undefined) fixed.push({ start: Number.NEGATIVE_INFINITY, end: Date.parse(notBefore) });
  const recurring = deny.filter((window) => 'cron' in window);
  return [merged(fixed.sort(byStart)), merged(recurringSpans(timeZone, recurring, from, until))];
}

/** Yields day by day, only as far as the caller reads. Spans of one day begin after all spans of the day before. */
function* recurringSpans(timeZone: string, windows: Recurring[], from: number, until: number): Generator<Span> {
  const schedules = windows.map(scheduleOf);
  // A local day can begin a day before or after the UTC day, and a gap can move a start by another day.
  const last = Math.floor(until / DAY_MS) + 1;
  for (let day = Math.floor(from / DAY_MS) - MAX_DURATION_DAYS - 2; schedules.length > 0 && day <= last; day++) {
    const midnight = new Date(day * DAY_MS);
    const today = schedules.filter((schedule) => schedule.days.match(midnight));
    if (today.length === 0) continue;
    const change = clockChangeNear(timeZone, day);
    yield* today.flatMap((schedule) => spansOn(day, schedule, change)).sort(byStart);
  }
}

function spansOn(day: number, { starts, runs, durationMs }: Schedule, change: ClockChange): Span[] {
  const midnight = day * DAY_MS;
  if (change.before === change.after) {
    const shift = midnight - change.before;
    return runs.map(({ start, end }) => ({ start: start + shift, end: end + shift }));
  }
  return starts.map((start) => {
    const begin = instantOf(midnight + start, change);
    return { start: begin, end: begin + durationMs };
  });
}

function fixedSpan(timeZone: string, { from, to }: Fixed): Span {
  return { start: momentOf(timeZone, from), end: momentOf(timeZone, to) };
}

function momentOf(timeZone: string, text: string): number {
  if (/(?:Z|[+-]\d\d:\d\d)$/.test(text)) return Date.parse(text);
  const wallMs = Date.parse(`${text}Z`);
  return instantOf(wallMs, clockChangeNear(timeZone, Math.floor(wallMs / DAY_MS)));
}

/** The parts of a window's cron. `starts` and `runs` (starts with their duration, merged) are in milliseconds since midnight. */
type Schedule = { days: Cron; starts: number[]; runs: Span[]; durationMs: number };
const schedules = new LRUCache<string, Schedule>({ max: 1000 });

function scheduleOf({ cron, durationMinutes }: Recurring): Schedule {
  const key = `${durationMinutes} ${cron}`;
  const known = schedules.get(key);
  if (known) return known;
  const durationMs = durationMinutes * MINUTE_MS;
  const [minute, hour, ...date] = fieldsOf(cron);
  const starts: number[] = [];
  for (const start of wallCron([minute, hour, '* * *']).enumerate(new Date(-1000))) {
    if (start.getTime() >= DAY_MS) break;
    starts.push(start.getTime());
  }
  const runs = [...merged(starts.map((start) => ({ start, end: start + durationMs })))];
  const schedule = { days: wallCron(['0 0', ...date]), starts, runs, durationMs };
  schedules.set(key, schedule);
  return schedule;
}

/** Computes in wall time: this module applies the zone's clock changes. @throws Error that describes the fault in the pattern */
function wallCron(fields: (string | undefined)[]): Cron {
  return new Cron(fields.join(' '), { mode: '5-part', utcOffset: 0 });
}

function fieldsOf(cron: string): string[] {
  return cron.trim().split(/\s+/);
}

/** @param spans in order of their starts */
function* merged(spans: Iterable<Span>): Generator<Span> {
  let current: Span | undefined;
  for (const span of spans) {
    if (current && span.start <= current.end) {
      if (span.end > current.end) current = { start: current.start, end: span.end };
      continue;
    }
    if (current) yield current;
    current = span;
  }
  if (current) yield current;
}

/** The parts of `spans` outside of `holes`. Both inputs are ordered and without overlap, and are read only as far as needed. */
function* without(spans: Iterable<Span>, holes: Iterable<Span>): Generator<Span> {
  const rest = holes[Symbol.iterator]();
  let hole = rest.next();
  for (const { start, end } of spans) {
    let from = start;
    while (!hole.done && hole.value.start < end) {
      if (hole.value.start > from) yield { start: from, end: hole.value.start };
      from = Math.max(from, hole.value.end);
      // This hole may reach into the next span.
      if (hole.value.end >= end) break;
      hole = rest.next();
    }
    if (from < end) yield { start: from, end };
  }
}

function spanEndingAfter(at: number, spans: Iterable<Span>): Span | undefined {
  for (const span of spans) if (span.end > at) return span;
  return undefined;
}

function byStart(one: Span, other: Span): number {
  return one.start - other.start;
}

function whyClosed(windows: RolloutWindows, at: number, opensAt: Date | null): string {
  const opens = opensAt ? `opens at ${localText(windows.timeZone, opensAt)}` : `opens within ${HORIZON_DAYS} days`;
  const { notBefore } = windows;
  if (notBefore !== undefined && Date.parse(notBefore) > at) {
    const held = `not before ${localText(windows.timeZone, new Date(notBefore))}`;
    if (!opensAt) return `${held}; no window ${opens}`;
    return opensAt.getTime() === Date.parse(notBefore) ? held : `${held}; the first window after it ${opens}`;
  }
  const denied = deniedSpans(windows, at, at).some((spans) => (spanEndingAfter(at, spans)?.start ?? at + 1) <= at);
  const where = denied ? 'inside a denied window' : 'outside the allowed windows';
  if (!opensAt) return `${where}; none ${opens}`;
  return `${where}; ${denied ? 'it' : 'the next'} ${opens}`;
}

function localText(timeZone: string, at: Date): string {
  const local = new Date(wallTime(timeZone, at.getTime())).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 16)} ${timeZone}`;
}

type Fault = { path: (string | number)[]; message: string };

function faultsOf(windows: RolloutWindows): Fault[] {
  const { timeZone, allow = [], deny = [] } = windows;
  if (!isTimeZone(timeZone))
    return [
      {
        path: ['timeZone'],
        message: `"${timeZone}" is no time zone, must be an IANA name such as "Europe/Berlin", "America/New_York" or "UTC"`,
      },
    ];
  const faults: Fault[] = [];
  let windowsADay = 0;
  for (const [list, all] of [['allow', allow] as const, ['deny', deny] as const])
    for (const [index, window] of all.entries()) {
      const fault = 'cron' in window ? cronFault(window.cron) : fixedFault(timeZone, window);
      if (fault) faults.push({ path: [list, index, ...fault.path], message: fault.message });
      else if ('cron' in window) windowsADay += scheduleOf(window).runs.length;
    }
  if (windowsADay > MAX_WINDOWS_A_DAY)
    faults.push({ path: [], message: `the crons give ${windowsADay} separate windows a day, must be at most ${MAX_WINDOWS_A_DAY}` });
  return faults;
}

function cronFault(cron: string): Fault | undefined {
  const path = ['cron'];
  const fields = fieldsOf(cron);
  if (fields.length !== 5) return { path, message: `"${cron}" has ${fields.length} fields, must have 5` };
  // The parser replaces "?" by the time of parsing.
  if (cron.includes('?')) return { path, message: `"${cron}" has "?", must be "*"` };
  try {
    if (wallCron(fields).nextRun(CRON_CHECKED_FROM)) return undefined;
  } catch (error) {
    return { path, message: `"${cron}": ${messageOf(error).replace(/^CronPattern: /, '')}` };
  }
  return { path, message: `"${cron}" never happens` };
}

function fixedFault(timeZone: string, window: Fixed): Fault | undefined {
  // zod runs this check even if a field has failed, and has reported invalid times already.
  if (![window.from, window.to].every((text) => Moment.safeParse(text).success)) return undefined;
  const { start, end } = fixedSpan(timeZone, window);
  return start < end ? undefined : { path: ['to'], message: `"${window.to}" is not after "${window.from}"` };
}

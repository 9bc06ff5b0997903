import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RolloutWindows, windowState } from '../../src/policy/windows.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const HORIZON = 400 * DAY;

type CronSets = { minutes: number[]; hours: number[]; weekdays: number[] };
type Period = { zone: string; change: string };
type Minute = { at: number; wall: number };

const PERIODS: Period[] = [
  { zone: 'Europe/Berlin', change: '2026-03-29T01:00Z' },
  { zone: 'Europe/Berlin', change: '2027-10-31T01:00Z' },
  { zone: 'America/New_York', change: '2026-11-01T06:00Z' },
  { zone: 'Australia/Lord_Howe', change: '2026-04-04T15:00Z' },
  { zone: 'Australia/Lord_Howe', change: '2026-10-03T15:30Z' },
  { zone: 'America/Nuuk', change: '2026-03-29T01:00Z' },
  { zone: 'Africa/Casablanca', change: '2026-02-15T02:00Z' },
  { zone: 'Asia/Kathmandu', change: '2026-06-01T00:00Z' },
];
const PERIOD_DAYS = 4;
const MAX_MINUTES = 2000;

const within = (max: number) => fc.uniqueArray(fc.nat(max), { minLength: 1, maxLength: 3 });
const cronSets: fc.Arbitrary<CronSets> = fc.record({
  // Times around midnight and around clock changes, so that windows meet.
  minutes: fc.uniqueArray(fc.constantFrom(0, 1, 15, 29, 30, 45, 59), { minLength: 1, maxLength: 3 }),
  hours: fc.uniqueArray(fc.constantFrom(0, 1, 2, 3, 12, 23), { minLength: 1, maxLength: 3 }),
  weekdays: within(6),
});
const recurring = fc.record({
  sets: cronSets,
  durationMinutes: fc.oneof(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: MAX_MINUTES })),
});
const policies = fc.record({
  period: fc.constantFrom(...PERIODS),
  allow: fc.array(recurring, { maxLength: 3 }),
  deny: fc.array(recurring, { maxLength: 2 }),
});
type Policy = { period: Period; allow: Window[]; deny: Window[] };
type Window = { sets: CronSets; durationMinutes: number };

function windowsOf({ period, allow, deny }: Policy): RolloutWindows {
  const written = ({ sets: { minutes, hours, weekdays }, durationMinutes }: Window) => {
    return { cron: `${minutes} ${hours} * * ${weekdays}`, durationMinutes };
  };
  return RolloutWindows.parse({ timeZone: period.zone, allow: allow.map(written), deny: deny.map(written) });
}

const tables = new Map<Period, Minute[]>();

/** Every minute of the period with its local time by Intl alone. Begins early enough for the longest window. */
function minutesOf(period: Period): Minute[] {
  const known = tables.get(period);
  if (known) return known;
  const parts = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' } as const;
  const format = new Intl.DateTimeFormat('en-US', { timeZone: period.zone, hourCycle: 'h23', ...parts });
  const from = Date.parse(period.change) - PERIOD_DAYS * DAY - MAX_MINUTES * MINUTE;
  const table: Minute[] = [];
  for (let at = from; at < Date.parse(period.change) + PERIOD_DAYS * DAY; at += MINUTE) {
    const [month = 0, day = 0, year = 0, hour = 0, minute = 0] = (format.format(at).match(/\d+/g) ?? []).map(Number);
    table.push({ at, wall: Date.UTC(year, month - 1, day, hour, minute) });
  }
  tables.set(period, table);
  return table;
}

/** @returns for each minute of the table whether a window covers it */
function covered(table: Minute[], windows: Window[]): boolean[] {
  const cover = table.map(() => false);
  for (const { sets, durationMinutes } of windows) {
    const seen = new Set<number>();
    const matches = (wall: number): boolean => {
      const local = new Date(wall);
      return (
        sets.minutes.includes(local.getUTCMinutes()) &&
        sets.hours.includes(local.getUTCHours()) &&
        sets.weekdays.includes(local.getUTCDay())
      );
    };
    for (const [index, { wall }] of table.entries()) {
      const shown = [wall];
      // Windows whose start the clocks skipped begin now.
      for (let missed = (table[index - 1]?.wall ?? wall) + MINUTE; missed < wall; missed += MINUTE) shown.push(missed);
      if (shown.some((time) => !seen.has(time) && matches(time))) cover.fill(true, index, index + durationMinutes);
      for (const time of shown) seen.add(time);
    }
  }
  return cover;
}

test('windowState() agrees with a minute-by-minute check, at every change and between', () => {
  let compared = 0;
  fc.assert(
    fc.property(policies, (policy) => {
      const table = minutesOf(policy.period);
      const windows = windowsOf(policy);
      const allowed = policy.allow.length > 0 ? covered(table, policy.allow) : table.map(() => true);
      const denied = covered(table, policy.deny);
      const open = table.map((_, index) => allowed[index] === true && denied[index] === false);
      const changes = table
        .map(({ at }, index) => ({ at, index }))
        .filter(({ index }) => index > MAX_MINUTES && open[index] !== open[index - 1]);
      for (const [n, change] of changes.entries()) {
        const following = changes[n + 1];
        compared++;
        const expected = (index: number) => {
          if (!following) return { open: open[index] };
          return open[index] ? { open: true, closesAt: new Date(following.at) } : { open: false, opensAt: new Date(following.at) };
        };
        const middle = Math.floor((change.index + (following?.index ?? table.length) - 1) / 2);
        const last = following ? following.at - 1 : change.at;
        expect(windowState(windows, new Date(change.at - 1)).open).toBe(!open[change.index]);
        for (const at of [change.at, table[middle]?.at ?? 0, last])
          expect(windowState(windows, new Date(at))).toMatchObject(expected(change.index));
      }
    }),
    { numRuns: 100 },
  );
  expect(compared).toBeGreaterThan(300);
});

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Africa/Casablanca',
  'America/St_Johns',
  'Pacific/Chatham',
];
const moments = fc.date({ min: new Date('2024-01-01T00:00:00Z'), max: new Date('2030-01-01T00:00:00Z'), noInvalidDate: true });
const anyWindow = fc.record({
  cron: fc
    .tuple(fc.nat(59), fc.nat(23), fc.constantFrom('* * *', '1 * *', '* 3,10,11 *', '* * SUN', '* * 1-5', '29 2 *', 'L * *'))
    .map(([minute, hour, date]) => `${minute} ${hour} ${date}`),
  durationMinutes: fc.integer({ min: 1, max: 7 * 1440 }),
});
const anyFreeze = fc.tuple(moments, fc.integer({ min: 1, max: 100 * 1440 })).map(([from, minutes]) => ({
  from: from.toISOString(),
  to: new Date(from.getTime() + minutes * MINUTE).toISOString(),
}));
const anyPolicy = fc.record({
  timeZone: fc.constantFrom(...ZONES),
  allow: fc.array(anyWindow, { maxLength: 3 }),
  deny: fc.array(fc.oneof(anyWindow, anyFreeze), { maxLength: 3 }),
});

test('the state changes exactly at the time that it names', () => {
  fc.assert(
    fc.property(anyPolicy, moments, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (policy, now, part) => {
      const windows = RolloutWindows.parse(policy);
      const state = windowState(windows, now);
      const change = state.open ? state.closesAt : state.opensAt;
      const length = (change?.getTime() ?? now.getTime() + HORIZON) - now.getTime();
      expect(length).toBeGreaterThan(0);
      const between = windowState(windows, new Date(now.getTime() + Math.floor(length * part)));
      expect(between.open).toBe(state.open);
      if (!change) return;
      expect(between).toMatchObject(state.open ? { closesAt: change } : { opensAt: change });
      expect(windowState(windows, new Date(change.getTime() - 1)).open).toBe(state.open);
      expect(windowState(windows, change).open).toBe(!state.open);
    }),
    { numRuns: 200 },
  );
});

test('a separate window is open for its duration, to the millisecond', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...ZONES),
      fc.nat(59),
      fc.nat(23),
      fc.integer({ min: 1, max: 1440 }),
      moments,
      (timeZone, minute, hour, durationMinutes, now) => {
        const windows = RolloutWindows.parse({ timeZone, allow: [{ cron: `${minute} ${hour} * * 3`, durationMinutes }] });
        const state = windowState(windows, now);
        const closed = state.open ? windowState(windows, state.closesAt ?? now) : state;
        const opensAt = closed.open ? now : (closed.opensAt ?? now);
        expect(windowState(windows, opensAt)).toEqual({ open: true, closesAt: new Date(opensAt.getTime() + durationMinutes * MINUTE) });
      },
    ),
    { numRuns: 200 },
  );
});

test('a denied time is closed, regardless of allowed windows', () => {
  fc.assert(
    fc.property(anyPolicy, anyFreeze, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (policy, freeze, part) => {
      const { from, to } = { from: Date.parse(freeze.from), to: Date.parse(freeze.to) };
      const windows = RolloutWindows.parse({ ...policy, deny: [...policy.deny, freeze] });
      expect(windowState(windows, new Date(from + Math.floor((to - from) * part))).open).toBe(false);
    }),
  );
});

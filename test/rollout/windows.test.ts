import { describe, expect, test } from 'vitest';
import { RolloutWindows, windowState } from '../../src/policy/windows.ts';

type Input = Parameters<typeof RolloutWindows.parse>[0] & object;
type Change = { closesAt: string | null } | { opensAt: string | null };

/** A short form of the state at an instant: the next change and its time. */
function next(windows: Input, now: string): Change {
  const state = windowState(RolloutWindows.parse(windows), new Date(now));
  return state.open ? { closesAt: brief(state.closesAt) } : { opensAt: brief(state.opensAt) };
}

function brief(at: Date | null): string | null {
  return at?.toISOString().replace(/(?::00)?\.000Z$/, 'Z') ?? null;
}

function why(windows: Input, now: string): string {
  const state = windowState(RolloutWindows.parse(windows), new Date(now));
  return state.open ? '' : state.why;
}

function faults(windows: unknown): [path: string, message: string][] {
  const result = RolloutWindows.safeParse(windows);
  return (result.error?.issues ?? []).map(({ path, message }) => [path.join('.'), message]);
}

const berlin = { timeZone: 'Europe/Berlin' };
const nightly = { cron: '0 2 * * *', durationMinutes: 120 };

describe('windowState()', () => {
  test('without allow it is always open', () => {
    expect(next(berlin, '2026-11-21T12:00Z')).toEqual({ closesAt: null });
    expect(next({ ...berlin, allow: [], deny: [] }, '2026-11-21T12:00Z')).toEqual({ closesAt: null });
  });

  test('a window opens at its first millisecond and is closed at its end', () => {
    const windows = { ...berlin, allow: [nightly] };
    expect(next(windows, '2026-11-21T00:59:59.999Z')).toEqual({ opensAt: '2026-11-21T01:00Z' });
    expect(next(windows, '2026-11-21T01:00Z')).toEqual({ closesAt: '2026-11-21T03:00Z' });
    expect(next(windows, '2026-11-21T02:59:59.999Z')).toEqual({ closesAt: '2026-11-21T03:00Z' });
    expect(next(windows, '2026-11-21T03:00Z')).toEqual({ opensAt: '2026-11-22T01:00Z' });
  });

  test('windows that overlap or adjoin count as one', () => {
    const allow = [nightly, { cron: '30 3 * * *', durationMinutes: 60 }, { cron: '30 4 * * *', durationMinutes: 1 }];
    expect(next({ ...berlin, allow }, '2026-11-21T01:00Z')).toEqual({ closesAt: '2026-11-21T03:31Z' });
    const always = { ...berlin, allow: [{ cron: '* * * * *', durationMinutes: 1 }] };
    expect(next(always, '2026-11-21T01:00Z')).toEqual({ closesAt: '2027-10-31T01:00Z' });
    const daily = { timeZone: 'Asia/Kathmandu', allow: [{ cron: '0 0 * * *', durationMinutes: 1440 }] };
    expect(next(daily, '2026-11-21T01:00Z')).toEqual({ closesAt: null });
  });

  test('a window of seven days lasts into the next week', () => {
    const windows = { ...berlin, allow: [{ cron: '0 0 * * MON#1', durationMinutes: 7 * 1440 }] };
    expect(next(windows, '2026-11-08T22:59Z')).toEqual({ closesAt: '2026-11-08T23:00Z' });
    expect(next(windows, '2026-11-08T23:00Z')).toEqual({ opensAt: '2026-12-06T23:00Z' });
  });

  test('deny overrides allow, by cron, by instants and by local times', () => {
    const noSunday = { cron: '0 3 * * SUN', durationMinutes: 30 };
    expect(next({ ...berlin, allow: [nightly], deny: [noSunday] }, '2026-11-22T01:00Z')).toEqual({ closesAt: '2026-11-22T02:00Z' });
    expect(next({ ...berlin, allow: [nightly], deny: [noSunday] }, '2026-11-22T02:00Z')).toEqual({ opensAt: '2026-11-22T02:30Z' });
    const freeze = { from: '2026-12-20T00:00', to: '2027-01-04T03:00:00' };
    expect(next({ ...berlin, deny: [freeze] }, '2026-11-22T00:00Z')).toEqual({ closesAt: '2026-12-19T23:00Z' });
    expect(next({ ...berlin, allow: [nightly], deny: [freeze] }, '2026-12-25T00:00Z')).toEqual({ opensAt: '2027-01-04T02:00Z' });
    const instants = { from: '2026-12-20T00:00:00Z', to: '2027-01-04T03:00:00+05:45' };
    expect(next({ ...berlin, deny: [instants] }, '2026-12-25T00:00Z')).toEqual({ opensAt: '2027-01-03T21:15Z' });
  });

  test('no window opens before notBefore; a window that contains it opens at that time', () => {
    const windows = { ...berlin, allow: [nightly], notBefore: '2026-11-22T02:30:00+01:00' };
    expect(next(windows, '2026-11-21T01:30Z')).toEqual({ opensAt: '2026-11-22T01:30Z' });
    expect(next(windows, '2026-11-22T01:30Z')).toEqual({ closesAt: '2026-11-22T03:00Z' });
  });

  test('a change more than 400 days away is null', () => {
    const leapDay = { timeZone: 'UTC', allow: [{ cron: '0 0 29 2 *', durationMinutes: 60 }] };
    expect(next(leapDay, '2026-11-21T00:00Z')).toEqual({ opensAt: null });
    expect(next(leapDay, '2027-01-24T23:59:59.999Z')).toEqual({ opensAt: null });
    expect(next(leapDay, '2027-01-25T00:00Z')).toEqual({ opensAt: '2028-02-29T00:00Z' });
    const farEast = { ...leapDay, timeZone: 'Pacific/Kiritimati' };
    expect(next(farEast, '2027-01-24T09:59:59.999Z')).toEqual({ opensAt: null });
    expect(next(farEast, '2027-01-24T10:00Z')).toEqual({ opensAt: '2028-02-28T10:00Z' });
    const freeze = { timeZone: 'UTC', deny: [{ from: '2028-02-29T00:00', to: '2030-01-01T00:00' }] };
    expect(next(freeze, '2027-01-24T23:59:59.999Z')).toEqual({ closesAt: null });
    expect(next(freeze, '2027-01-25T00:00Z')).toEqual({ closesAt: '2028-02-29T00:00Z' });
    expect(next(freeze, '2028-03-01T00:00Z')).toEqual({ opensAt: null });
  });

  test.each([
    ['outside', { allow: [nightly] }, 'outside the allowed windows; the next opens at 2026-11-22 02:00 Europe/Berlin'],
    [
      'outside for ever',
      { allow: [{ cron: '0 0 29 2 *', durationMinutes: 1 }] },
      'outside the allowed windows; none opens within 400 days',
    ],
    [
      'denied',
      { deny: [{ cron: '0 8 * * *', durationMinutes: 600 }] },
      'inside a denied window; it opens at 2026-11-21 18:00 Europe/Berlin',
    ],
    [
      'denied for years',
      { deny: [{ from: '2026-01-01T00:00', to: '2030-01-01T00:00' }] },
      'inside a denied window; none opens within 400 days',
    ],
    ['too early', { notBefore: '2026-11-22T12:30:00Z' }, 'not before 2026-11-22 13:30 Europe/Berlin'],
    [
      'too early for the window as well',
      { notBefore: '2026-11-22T12:30:00Z', allow: [nightly] },
      'not before 2026-11-22 13:30 Europe/Berlin; the first window after it opens at 2026-11-23 02:00 Europe/Berlin',
    ],
    ['far too early', { notBefore: '2030-11-22T12:30:00Z' }, 'not before 2030-11-22 13:30 Europe/Berlin; no window opens within 400 days'],
  ])('says why it is closed: %s', (_case, windows, sentence) => {
    expect(why({ ...berlin, ...windows }, '2026-11-21T12:00Z')).toBe(sentence);
  });
});

describe('changes of the clock', () => {
  const at = (cron: string, durationMinutes: number, timeZone: string) => ({ timeZone, allow: [{ cron, durationMinutes }] });

  test.each([
    // Forward at 01:00Z on 2026-03-29, back at 01:00Z on 2026-10-25; 2027 on 03-28 and 10-31.
    ['spring: starts in the gap', at('30 2 * * *', 60, 'Europe/Berlin'), '2026-03-29T01:00Z', '2026-03-29T02:00Z'],
    ['spring: starts before the gap, lasts its minutes', at('30 1 * * *', 60, 'Europe/Berlin'), '2026-03-29T00:30Z', '2026-03-29T01:30Z'],
    ['spring: starts at the end of the gap', at('0 3 * * *', 60, 'Europe/Berlin'), '2026-03-29T01:00Z', '2026-03-29T02:00Z'],
    ['spring 2027', at('0 2 28 3 *', 30, 'Europe/Berlin'), '2027-03-28T01:00Z', '2027-03-28T01:30Z'],
    ['autumn: the first pass', at('30 2 25 10 *', 60, 'Europe/Berlin'), '2026-10-25T00:30Z', '2026-10-25T01:30Z'],
    [
      'autumn: starts before the repeat, lasts its minutes',
      at('0 1 25 10 *', 180, 'Europe/Berlin'),
      '2026-10-24T23:00Z',
      '2026-10-25T02:00Z',
    ],
    ['autumn: the hour after the repeat', at('0 3 25 10 *', 60, 'Europe/Berlin'), '2026-10-25T02:00Z', '2026-10-25T03:00Z'],
    ['autumn 2027', at('30 2 31 10 *', 60, 'Europe/Berlin'), '2027-10-31T00:30Z', '2027-10-31T01:30Z'],
    // Forward at 07:00Z on 2026-03-08, back at 06:00Z on 2026-11-01.
    ['New York, spring', at('30 2 8 3 *', 60, 'America/New_York'), '2026-03-08T07:00Z', '2026-03-08T08:00Z'],
    ['New York, autumn', at('30 1 1 11 *', 60, 'America/New_York'), '2026-11-01T05:30Z', '2026-11-01T06:30Z'],
    // By half an hour: back from 11:00 to 10:30 at 15:00Z on 2026-04-04, forward from 10:30 at 15:30Z on 2026-10-03.
    ['Lord Howe, autumn', at('45 1 5 4 *', 60, 'Australia/Lord_Howe'), '2026-04-04T14:45Z', '2026-04-04T15:45Z'],
    ['Lord Howe, spring', at('15 2 4 10 *', 60, 'Australia/Lord_Howe'), '2026-10-03T15:30Z', '2026-10-03T16:30Z'],
    // At 01:00Z as in all of Europe, in this zone on the evening before.
    ['Nuuk, spring', at('30 23 28 3 *', 60, 'America/Nuuk'), '2026-03-29T01:00Z', '2026-03-29T02:00Z'],
    ['Nuuk, autumn', at('30 23 24 10 *', 60, 'America/Nuuk'), '2026-10-25T00:30Z', '2026-10-25T01:30Z'],
    ['Kathmandu has none', at('0 2 29 3 *', 60, 'Asia/Kathmandu'), '2026-03-28T20:15Z', '2026-03-28T21:15Z'],
    ['a whole day that is left out', at('0 9 30 12 *', 60, 'Pacific/Apia'), '2011-12-30T10:00Z', '2011-12-30T11:00Z'],
  ])('%s', (_case, windows, opens, closes) => {
    const before = new Date(Date.parse(opens) - 1).toISOString();
    expect(next(windows, before)).toEqual({ opensAt: opens });
    expect(next(windows, opens)).toEqual({ closesAt: closes });
    const end = windowState(RolloutWindows.parse(windows), new Date(closes));
    expect(end.open).toBe(false);
  });

  test('the second pass of a repeated hour begins no window', () => {
    expect(next(at('30 2 25 10 *', 15, 'Europe/Berlin'), '2026-10-25T00:45Z')).toEqual({ opensAt: '2027-10-25T00:30Z' });
  });

  test('the local times of a freeze follow the same rules', () => {
    const gap = { ...berlin, deny: [{ from: '2026-03-29T02:15', to: '2026-03-29T03:30' }] };
    expect(next(gap, '2026-03-29T00:59Z')).toEqual({ closesAt: '2026-03-29T01:00Z' });
    expect(next(gap, '2026-03-29T01:00Z')).toEqual({ opensAt: '2026-03-29T01:30Z' });
    const repeat = { ...berlin, deny: [{ from: '2026-10-25T02:15', to: '2026-10-25T02:30' }] };
    expect(next(repeat, '2026-10-25T00:15Z')).toEqual({ opensAt: '2026-10-25T00:30Z' });
  });
});

describe('RolloutWindows', () => {
  test('returns its input unchanged', () => {
    const windows = {
      timeZone: 'Europe/Berlin',
      allow: [nightly, { cron: '*/5 22-23 * JAN-MAR,12 MON-FRI', durationMinutes: 10 }],
      deny: [
        { cron: '0 0 L * *', durationMinutes: 1440 },
        { from: '2026-12-24T00:00', to: '2027-01-02T00:00:00+01:00' },
      ],
      notBefore: '2026-11-22T02:00:00Z',
    };
    expect(RolloutWindows.parse(windows)).toEqual(windows);
  });

  test.each([
    ['Mars/Olympus', '"Mars/Olympus" is no time zone, must be an IANA name such as "Europe/Berlin", "America/New_York" or "UTC"'],
    ['+01:00', '"+01:00" is no time zone, must be an IANA name such as "Europe/Berlin", "America/New_York" or "UTC"'],
    ['', '"" is no time zone, must be an IANA name such as "Europe/Berlin", "America/New_York" or "UTC"'],
  ])('refuses the time zone "%s"', (timeZone, message) => {
    expect(faults({ timeZone, allow: [{ cron: 'nonsense', durationMinutes: 1 }] })).toEqual([['timeZone', message]]);
  });

  test.each([
    ['61 * * * *', '"61 * * * *": Invalid value for minute: 61'],
    ['0 0 30 2 *', '"0 0 30 2 *" never happens'],
    ['* * * *', '"* * * *" has 4 fields, must have 5'],
    ['0 * * * * *', '"0 * * * * *" has 6 fields, must have 5'],
    ['@daily', '"@daily" has 1 fields, must have 5'],
    ['? * * * *', '"? * * * *" has "?", must be "*"'],
    ['2026-01-01T00:00:00', '"2026-01-01T00:00:00" has 1 fields, must have 5'],
  ])('refuses the cron "%s"', (cron, message) => {
    expect(faults({ ...berlin, allow: [nightly, { cron, durationMinutes: 60 }] })).toEqual([['allow.1.cron', message]]);
    expect(faults({ ...berlin, deny: [{ cron, durationMinutes: 60 }] })).toEqual([['deny.0.cron', message]]);
  });

  test.each(['', 'x'.repeat(5_000), '2026-13-01T00:00', '2026-02-30T00:00', '+012026-01-01T00:00:00Z'])(
    'refuses the moment "%.20s"',
    (moment) => {
      const told = faults({ ...berlin, deny: [nightly, { from: moment, to: '2026-12-23T22:30:00Z' }] });
      expect(told.map(([path]) => path)).toContain('deny.1.from');
    },
  );

  test('refuses a freeze that ends before it begins, or whose local times are the same instant', () => {
    const both = { ...berlin, deny: [nightly, { from: '2026-12-24T00:00', to: '2026-12-23T22:30:00Z' }] };
    expect(faults(both)).toEqual([['deny.1.to', '"2026-12-23T22:30:00Z" is not after "2026-12-24T00:00"']]);
    expect(faults({ ...berlin, deny: [{ from: '2026-03-29T02:10', to: '2026-03-29T02:50' }] })).toHaveLength(1);
  });

  test('refuses more windows than it can search quickly', () => {
    const everyFive = { cron: '*/5 * * * *', durationMinutes: 4 };
    expect(faults({ ...berlin, allow: [everyFive] })).toEqual([]);
    expect(faults({ ...berlin, allow: [everyFive], deny: [nightly] })).toEqual([
      ['', 'the crons give 289 separate windows a day, must be at most 288'],
    ]);
    expect(faults({ ...berlin, allow: Array(20).fill({ cron: '* * * * *', durationMinutes: 1 }) })).toEqual([]);
    expect(faults({ ...berlin, allow: Array(21).fill(nightly) })).toMatchObject([['allow', expect.any(String)]]);
  });

  test.each([
    { ...berlin, allow: [{ cron: '0 2 * * *', durationMinutes: 0 }] },
    { ...berlin, allow: [{ cron: '0 2 * * *', durationMinutes: 7 * 1440 + 1 }] },
    { ...berlin, allow: [{ cron: '0 2 * * *', durationMinutes: 1.5 }] },
    { ...berlin, allow: [{ from: '2026-12-24T00:00', to: '2027-01-02T00:00' }] },
    { ...berlin, deny: [{ from: '2026-12-24', to: '2027-01-02' }] },
    { ...berlin, deny: [{ from: '2026-02-30T00:00', to: '2027-01-02T00:00' }] },
    { ...berlin, notBefore: '2026-12-24T00:00' },
    { ...berlin, closed: [] },
    { allow: [nightly] },
  ])('refuses $allow $deny $notBefore $closed', (windows) => {
    expect(faults(windows)).not.toEqual([]);
  });
});

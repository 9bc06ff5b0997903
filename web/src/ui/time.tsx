import { Tooltip } from '@radix-ui/themes';
import { useSyncExternalStore } from 'react';
import { type TimeZone, useAppearance } from '../app/appearance.tsx';

const MINUTE = 60_000;
const STEPS: readonly [limitMs: number, unit: Intl.RelativeTimeFormatUnit, unitMs: number][] = [
  [MINUTE, 'second', 1_000],
  [60 * MINUTE, 'minute', MINUTE],
  [24 * 60 * MINUTE, 'hour', 60 * MINUTE],
  [30 * 24 * 60 * MINUTE, 'day', 24 * 60 * MINUTE],
  [365 * 24 * 60 * MINUTE, 'month', 30 * 24 * 60 * MINUTE],
];
const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });

/** A moment: how long ago, and the exact time on demand; or, with `exact`, the other way round. */
export function Time({ at, exact = false }: { at: string | null | undefined; exact?: boolean }) {
  const { timeZone } = useAppearance();
  const now = useNow();
  if (at === null || at === undefined) return <span>never</span>;
  const date = new Date(at);
  const full = fullTime(date, timeZone);
  const ago = relative(date, now);
  return (
    <Tooltip content={exact ? ago : full}>
      <time dateTime={at}>{exact ? full : ago}</time>
    </Tooltip>
  );
}

export function relative(date: Date, now: number): string {
  const ms = date.getTime() - now;
  const size = Math.abs(ms);
  if (size < 5_000) return 'now';
  const [, unit, unitMs] = STEPS.find(([limit]) => size < limit) ?? ['', 'year' as const, 365 * 24 * 60 * MINUTE];
  return RELATIVE.format(Math.round(ms / unitMs), unit);
}

export function fullTime(date: Date, zone: TimeZone): string {
  return date.toLocaleString('sv-SE', { ...zoneOf(zone), timeZoneName: 'short' });
}

/** Hours, minutes and seconds. */
export function clockTime(date: Date, zone: TimeZone): string {
  return date.toLocaleTimeString('en-GB', { ...zoneOf(zone), hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

function zoneOf(zone: TimeZone): { timeZone?: string } {
  return zone === 'utc' ? { timeZone: 'UTC' } : {};
}

/** Milliseconds as people say them: 340 ms, 12 s, 4 min 10 s, 2 h 5 min. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  return minutes % 60 === 0 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The present time for all relative times of the page, which change together every ten seconds. */
export function useNow(): number {
  return useSyncExternalStore(watchClock, () => now);
}

let now = Date.now();
const watchers = new Set<() => void>();
let ticking: number | undefined;

function watchClock(watcher: () => void): () => void {
  watchers.add(watcher);
  ticking ??= window.setInterval(() => {
    now = Date.now();
    for (const each of watchers) each();
  }, 10_000);
  return () => {
    watchers.delete(watcher);
    if (watchers.size > 0) return;
    window.clearInterval(ticking);
    ticking = undefined;
  };
}

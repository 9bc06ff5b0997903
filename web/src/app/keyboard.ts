import { useEffect, useRef } from 'react';

/** A second key counts as part of a chord for this time. */
const CHORD_MS = 1_200;

/**
 * Binds keys while the component is shown: "?" and "mod+k" alone, "g d" one after the other ("mod" is Ctrl, or ⌘ on a Mac). Keys of a field that
 * takes text stay there; an open dialog keeps its own keys.
 */
export function useChords(bindings: Record<string, () => void>): void {
  const latest = useRef(bindings);
  useEffect(() => {
    latest.current = bindings;
  });
  useEffect(() => {
    let first: { key: string; at: number } | undefined;
    const onKey = (event: KeyboardEvent) => {
      const withModifier = event.metaKey || event.ctrlKey;
      const name = withModifier ? `mod+${event.key.toLowerCase()}` : event.key;
      if (document.querySelector('[role=dialog],[role=alertdialog],[role=menu]') !== null) return;
      if (!withModifier && (event.altKey || takesText(event.target))) return;
      const isFresh = first !== undefined && event.timeStamp - first.at < CHORD_MS;
      const act = (isFresh ? latest.current[`${first?.key} ${name}`] : undefined) ?? latest.current[name];
      first = { key: name, at: event.timeStamp };
      if (act === undefined) return;
      event.preventDefault();
      first = undefined;
      act();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}

function takesText(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

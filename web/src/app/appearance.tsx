import { Theme } from '@radix-ui/themes';
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';

export type ColourScheme = 'system' | 'light' | 'dark';
export type TimeZone = 'local' | 'utc';

type Appearance = {
  scheme: ColourScheme;
  /** The colours that `scheme` stands for now. */
  shown: 'light' | 'dark';
  timeZone: TimeZone;
  setScheme(scheme: ColourScheme): void;
  setTimeZone(zone: TimeZone): void;
};

const Context = createContext<Appearance | undefined>(undefined);
const DARK = window.matchMedia('(prefers-color-scheme: dark)');

/** Colours and time zone: choices of this browser, kept there. */
export function AppearanceProvider({ children }: { children: ReactNode }) {
  const [scheme, setScheme] = useStored<ColourScheme>('bellwether.scheme', ['system', 'light', 'dark']);
  const [timeZone, setTimeZone] = useStored<TimeZone>('bellwether.time', ['local', 'utc']);
  const [systemIsDark, setSystemIsDark] = useState(DARK.matches);
  useEffect(() => {
    const follow = () => setSystemIsDark(DARK.matches);
    DARK.addEventListener('change', follow);
    return () => DARK.removeEventListener('change', follow);
  }, []);
  const shown = scheme === 'system' ? (systemIsDark ? 'dark' : 'light') : scheme;
  const value = useMemo(() => ({ scheme, shown, timeZone, setScheme, setTimeZone }), [scheme, shown, timeZone, setScheme, setTimeZone]);
  return (
    <Context value={value}>
      <Theme accentColor="indigo" grayColor="slate" radius="medium" scaling="95%" appearance={shown}>
        {children}
      </Theme>
    </Context>
  );
}

export function useAppearance(): Appearance {
  const appearance = useContext(Context);
  if (appearance === undefined) throw new Error('Appearance needs an AppearanceProvider around the page');
  return appearance;
}

/** A choice of `allowed` in local storage; the first one where nothing else is kept. */
function useStored<Value extends string>(key: string, allowed: readonly [Value, ...Value[]]): [Value, (value: Value) => void] {
  const [value, setValue] = useState<Value>(() => allowed.find((each) => each === localStorage.getItem(key)) ?? allowed[0]);
  const store = useMemo(
    () => (next: Value) => {
      localStorage.setItem(key, next);
      setValue(next);
    },
    [key],
  );
  return [value, store];
}

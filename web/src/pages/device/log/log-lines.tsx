import { Text } from '@radix-ui/themes';
import { useAppearance } from '../../../app/appearance.tsx';
import type { LogLine } from '../../../generated/api.ts';
import { fullTime } from '../../../ui/time.tsx';

const TONES: Record<string, string> = { error: 'bad', fatal: 'bad', warn: 'warn', warning: 'warn' };

/** Lines of a device's log: time, level as a word, message. */
export function LogLines({ lines, empty }: { lines: readonly LogLine[]; empty: string }) {
  const { timeZone } = useAppearance();
  if (lines.length === 0)
    return (
      <Text size="2" color="gray">
        {empty}
      </Text>
    );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard
    <section className="log" tabIndex={0} aria-label="Log">
      {lines.map(({ id, at, level, message }) => (
        <div key={id} className="log-line">
          <time dateTime={at}>{fullTime(new Date(at), timeZone)}</time>
          <span className="status" data-tone={TONES[level] ?? 'calm'}>
            {level}
          </span>
          <span className="wrap-anywhere">{message}</span>
        </div>
      ))}
    </section>
  );
}

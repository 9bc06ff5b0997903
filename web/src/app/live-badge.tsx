import { Text, Tooltip } from '@radix-ui/themes';
import { CircleDashed, Radio, Unplug } from 'lucide-react';
import { useLiveState } from '../live/live.tsx';
import { clockTime } from '../ui/time.tsx';
import { useAppearance } from './appearance.tsx';

/** Says whether the page is live, or of which time it tells. */
export function LiveBadge() {
  const { status, asOf } = useLiveState();
  const { timeZone } = useAppearance();
  const cut = `as of ${clockTime(new Date(asOf), timeZone)}`;
  const hint = {
    live: 'Changes show here within half a second',
    connecting: 'The page connects to the service',
    cut: 'The service does not answer. What you see may be out of date; the page connects again by itself.',
  }[status];
  return (
    <Tooltip content={hint}>
      <Text as="span" size="2" className="live-badge" data-status={status} role="status" aria-live="polite">
        {status === 'live' ? (
          <Radio size={14} aria-hidden />
        ) : status === 'cut' ? (
          <Unplug size={14} aria-hidden />
        ) : (
          <CircleDashed size={14} aria-hidden />
        )}
        {status === 'live' ? 'Live' : status === 'cut' ? cut : 'Connecting'}
      </Text>
    </Tooltip>
  );
}

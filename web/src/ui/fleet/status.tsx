import {
  Ban,
  CircleCheck,
  CircleCheckBig,
  CircleDashed,
  CircleDot,
  CirclePause,
  CircleSlash,
  Clock,
  GitCompareArrows,
  Hourglass,
  LoaderCircle,
  type LucideIcon,
  OctagonX,
  Undo2,
  Wifi,
  WifiOff,
} from 'lucide-react';
import type { Device } from '../../generated/api.ts';

type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'calm';
type Look = { icon: LucideIcon; word: string; tone: Tone };

/** A state is a shape and a word; colour only repeats them. */
const SYNC: Record<Device['syncStatus'], Look> = {
  in_sync: { icon: CircleCheck, word: 'In sync', tone: 'good' },
  unverified: { icon: CircleDot, word: 'Applied, unverified', tone: 'good' },
  pending: { icon: Clock, word: 'Pending', tone: 'calm' },
  updating: { icon: LoaderCircle, word: 'Updating', tone: 'busy' },
  failed: { icon: OctagonX, word: 'Failed', tone: 'bad' },
  rolled_back: { icon: Undo2, word: 'Rolled back', tone: 'bad' },
  drifted: { icon: GitCompareArrows, word: 'Drifted', tone: 'warn' },
  held: { icon: CirclePause, word: 'Held', tone: 'warn' },
  unmanaged: { icon: CircleDashed, word: 'Unmanaged', tone: 'calm' },
};
const CONNECTIVITY: Record<Device['connectivity'], Look> = {
  online: { icon: Wifi, word: 'Online', tone: 'good' },
  offline: { icon: WifiOff, word: 'Offline', tone: 'calm' },
  unknown: { icon: CircleDashed, word: 'Not seen yet', tone: 'calm' },
};
/** States of rollouts, deployments, waves, runs of integrations and hooks: words that mean the same everywhere look the same. */
const STATES: Record<string, Look> = {
  running: { icon: LoaderCircle, word: 'Running', tone: 'busy' },
  completed: { icon: CircleCheckBig, word: 'Completed', tone: 'good' },
  succeeded: { icon: CircleCheck, word: 'Succeeded', tone: 'good' },
  ok: { icon: CircleCheck, word: 'OK', tone: 'good' },
  valid: { icon: CircleCheck, word: 'Valid', tone: 'good' },
  accepted: { icon: CircleCheck, word: 'Accepted', tone: 'good' },
  passed: { icon: CircleCheck, word: 'Passed', tone: 'good' },
  delivered: { icon: CircleCheck, word: 'Delivered', tone: 'good' },
  posted: { icon: CircleCheck, word: 'Posted', tone: 'good' },
  partial: { icon: CircleDot, word: 'Partly valid', tone: 'warn' },
  empty: { icon: CircleDashed, word: 'Empty', tone: 'warn' },
  ref_missing: { icon: CircleDashed, word: 'Ref missing', tone: 'warn' },
  new: { icon: Clock, word: 'Not checked yet', tone: 'calm' },
  pending: { icon: Clock, word: 'Pending', tone: 'calm' },
  expired: { icon: Ban, word: 'Expired', tone: 'bad' },
  malformed: { icon: Ban, word: 'Malformed', tone: 'bad' },
  failed: { icon: OctagonX, word: 'Failed', tone: 'bad' },
  failing: { icon: OctagonX, word: 'Failing', tone: 'bad' },
  error: { icon: OctagonX, word: 'Error', tone: 'bad' },
  invalid: { icon: OctagonX, word: 'Invalid', tone: 'bad' },
  rejected: { icon: Ban, word: 'Rejected', tone: 'bad' },
  blocked: { icon: Ban, word: 'Blocked', tone: 'bad' },
  unauthorized: { icon: Ban, word: 'Unauthorized', tone: 'bad' },
  aborted: { icon: OctagonX, word: 'Aborted', tone: 'bad' },
  timed_out: { icon: OctagonX, word: 'Timed out', tone: 'bad' },
  rolled_back: { icon: Undo2, word: 'Rolled back', tone: 'bad' },
  reverted: { icon: Undo2, word: 'Reverted', tone: 'warn' },
  reverting: { icon: Undo2, word: 'Reverting', tone: 'warn' },
  paused: { icon: CirclePause, word: 'Paused', tone: 'warn' },
  stale: { icon: Hourglass, word: 'Stale', tone: 'warn' },
  held: { icon: CirclePause, word: 'Held', tone: 'warn' },
  awaiting_approval: { icon: Hourglass, word: 'Awaiting approval', tone: 'warn' },
  waiting: { icon: Hourglass, word: 'Waiting', tone: 'warn' },
  superseded: { icon: CircleSlash, word: 'Superseded', tone: 'calm' },
  cancelled: { icon: CircleSlash, word: 'Cancelled', tone: 'calm' },
  disabled: { icon: CircleSlash, word: 'Disabled', tone: 'calm' },
  skipped: { icon: CircleSlash, word: 'Skipped', tone: 'calm' },
};

export function SyncStatus({ status }: { status: Device['syncStatus'] }) {
  return <Shown look={SYNC[status]} />;
}

export function Connectivity({ connectivity }: { connectivity: Device['connectivity'] }) {
  return <Shown look={CONNECTIVITY[connectivity]} />;
}

/** Any other state; a word that has no look yet is shown as it is. */
export function State({ state }: { state: string }) {
  return <Shown look={STATES[state] ?? { icon: CircleDashed, word: words(state), tone: 'calm' }} />;
}

export function syncWord(status: Device['syncStatus']): string {
  return SYNC[status].word;
}

export function toneOfSync(status: Device['syncStatus']): Tone {
  return SYNC[status].tone;
}

export function words(name: string): string {
  const text = name.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function Shown({ look: { icon: Icon, word, tone } }: { look: Look }) {
  return (
    <span className="status" data-tone={tone}>
      <Icon size={14} aria-hidden /> {word}
    </span>
  );
}

import { Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Ban, Circle, CircleCheck, Hourglass, LoaderCircle, type LucideIcon, OctagonX } from 'lucide-react';
import { read } from '../../api/query.ts';
import type { RolloutGraph } from '../../generated/api.ts';
import { Loaded } from '../../ui/states.tsx';
import { duration, Time } from '../../ui/time.tsx';

type Step = RolloutGraph['steps'][number];
const LOOKS: Record<Step['state'], { icon: LucideIcon; word: string; tone: string }> = {
  done: { icon: CircleCheck, word: 'Done', tone: 'good' },
  running: { icon: LoaderCircle, word: 'Running', tone: 'busy' },
  waiting: { icon: Hourglass, word: 'Waiting', tone: 'warn' },
  failed: { icon: OctagonX, word: 'Failed', tone: 'bad' },
  skipped: { icon: Ban, word: 'Skipped', tone: 'calm' },
  pending: { icon: Circle, word: 'Not yet', tone: 'calm' },
};

/** The way from the commit to the last wave, each step with its state and time; a wave with its numbers against the gate. */
export function Graph({ id }: { id: string }) {
  const graph = useQuery(read('GET /api/v1/rollouts/{id}/graph', { path: { id } }));
  return (
    <Loaded result={graph} lines={2}>
      {({ steps }) => (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a list that scrolls must be reached by keyboard
        <ol className="graph" tabIndex={0} aria-label="Steps of the rollout">
          {steps.map((step) => (
            <StepBox key={step.id} step={step} />
          ))}
        </ol>
      )}
    </Loaded>
  );
}

function StepBox({ step }: { step: Step }) {
  const { icon: Icon, word, tone } = LOOKS[step.state];
  return (
    <li className="step" data-state={step.state}>
      <Text as="div" size="2" weight="medium" className="clip">
        {step.name}
      </Text>
      <span className="status" data-tone={tone}>
        <Icon size={14} aria-hidden /> <Text size="2">{word}</Text>
      </span>
      <Text as="div" size="1" color="gray">
        {step.startedAt !== null && <Time at={step.finishedAt ?? step.startedAt} />}
        {step.durationMs !== null && `${step.startedAt === null ? '' : ' · '}${duration(step.durationMs)}`}
      </Text>
      {step.numbers !== null && <GateNumbers numbers={step.numbers} />}
      {step.bakeUntil !== null && step.state === 'running' && (
        <Text as="div" size="1">
          observes until <Time at={step.bakeUntil} />
        </Text>
      )}
      {step.reason !== null && (
        <Text as="div" size="1" color="gray" className="step-reason">
          {step.reason}
        </Text>
      )}
    </li>
  );
}

function GateNumbers({ numbers }: { numbers: NonNullable<Step['numbers']> }) {
  const { succeeded, failed, open, offline, quarantined, neededSucceeded, neededPercent, budget } = numbers;
  const needs = [neededSucceeded === null ? '' : `at least ${neededSucceeded}`, neededPercent === null ? '' : `${neededPercent} %`]
    .filter(Boolean)
    .join(' and ');
  return (
    <Text as="div" size="1">
      <span className="num">{succeeded}</span> succeeded{needs === '' ? '' : ` (needs ${needs})`},{' '}
      <span className="num">{failed + quarantined}</span> failed
      {budget === null ? '' : ` (budget ${budget})`}, {open} open{offline > 0 ? `, ${offline} offline` : ''}
    </Text>
  );
}

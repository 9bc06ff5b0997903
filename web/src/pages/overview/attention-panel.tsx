import { Badge, Flex, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { CircleAlert, CircleCheckBig, CirclePause, type LucideIcon, TriangleAlert } from 'lucide-react';
import { read } from '../../api/query.ts';
import type { AttentionItem } from '../../generated/api.ts';
import { Cause } from '../../ui/fleet/cause.tsx';
import { PlaceLink } from '../../ui/fleet/place-link.tsx';
import { words } from '../../ui/fleet/status.tsx';
import { Loaded } from '../../ui/states.tsx';
import { Time } from '../../ui/time.tsx';
import { SubjectLink } from './links.tsx';

/** The places of causes are asked for again after this time, and only so often: some failures have none. */
const PLACES_MS = 3_000;
const MAX_READS = 5;

/** Everything that waits for a person, the most urgent first; failures stand by their causes. */
export function AttentionPanel() {
  const attention = useQuery({
    ...read('GET /api/v1/attention', {}),
    // The service answers before it has found the places of new causes, and no event says when it has.
    refetchInterval: ({ state: { data, dataUpdateCount } }) =>
      dataUpdateCount < MAX_READS && data?.items.some(({ causes }) => causes.some(({ place }) => place === null)) ? PLACES_MS : false,
  });
  return (
    <section className="panel" aria-label="Needs attention">
      <h2>
        Needs attention{' '}
        {attention.data !== undefined && attention.data.items.length > 0 && (
          <Badge color="red">{attention.data.items.length + attention.data.more}</Badge>
        )}
      </h2>
      <Loaded result={attention}>
        {({ items, more }) =>
          items.length === 0 ? (
            <Flex gap="2" align="center" className="panel-body status" data-tone="good">
              <CircleCheckBig size={16} aria-hidden /> <Text size="2">Nothing needs you. The fleet follows its commits.</Text>
            </Flex>
          ) : (
            <ul className="attention">
              {items.map((item) => (
                <Item key={`${item.kind} ${item.subject.id} ${item.title}`} item={item} />
              ))}
              {more > 0 && (
                <li>
                  <Text size="2" color="gray">
                    {more} more are not shown. Solve those above first.
                  </Text>
                </li>
              )}
            </ul>
          )
        }
      </Loaded>
    </section>
  );
}

type Look = { icon: LucideIcon; tone: 'bad' | 'warn' };
const BAD: Look = { icon: CircleAlert, tone: 'bad' };
const WAITS: Look = { icon: CirclePause, tone: 'warn' };
const LOOKS: Partial<Record<AttentionItem['kind'], Look>> = {
  ...{
    rollout_failures: BAD,
    revision_rejected: BAD,
    source_failing: BAD,
    device_failures: BAD,
    integration_blocked: BAD,
    job_failing: BAD,
  },
  ...{ rollout_paused: WAITS, rollout_awaiting_approval: WAITS, rollout_waiting: WAITS, device_held: WAITS },
};

function Item({ item }: { item: AttentionItem }) {
  const { icon: Icon, tone } = LOOKS[item.kind] ?? { icon: TriangleAlert, tone: 'warn' as const };
  return (
    <li>
      <span className="status" data-tone={tone} role="img" aria-label={words(item.kind)}>
        <Icon size={16} aria-hidden />
      </span>
      <div className="attention-text">
        <Flex gap="3" justify="between" wrap="wrap">
          <Text size="2" weight="medium">
            <SubjectLink item={item}>{item.title}</SubjectLink>
          </Text>
          <Text size="1" color="gray">
            {item.since !== null && <Time at={item.since} />}
            {item.nextTryAt !== null && (
              <>
                {' '}
                · tries again <Time at={item.nextTryAt} />
              </>
            )}
          </Text>
        </Flex>
        {item.cause !== null && item.causes.length === 0 && (
          <Text as="p" size="2" color="gray" className="attention-cause">
            {item.cause}
          </Text>
        )}
        {item.causes.map((cause) => (
          <Cause key={cause.cause} cause={cause} sourceId={item.links.sourceId} />
        ))}
        {item.moreCauses > 0 && (
          <Text size="1" color="gray">
            and {item.moreCauses} more causes
          </Text>
        )}
        {item.causes.length === 0 && (
          <Text size="2">
            <PlaceLink place={item.place} sourceId={item.links.sourceId} />
          </Text>
        )}
      </div>
      <Acts item={item} />
    </li>
  );
}

/** Acts are done on the subject's page, which shows what they touch. */
function Acts({ item }: { item: AttentionItem }) {
  const [first] = item.actions;
  return first === undefined ? null : (
    <Text size="2" className="attention-act">
      <SubjectLink item={item}>{words(first.replaceAll('-', ' '))} …</SubjectLink>
    </Text>
  );
}

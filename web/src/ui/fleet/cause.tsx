import { Text } from '@radix-ui/themes';
import { Link } from '@tanstack/react-router';
import type { FailureCause } from '../../generated/api.ts';
import { Time } from '../time.tsx';
import { PlaceLink } from './place-link.tsx';

/** One cause: how many devices, the words of the failure, a line of the first device's log, the place in the commit. */
export function Cause({ cause, sourceId }: { cause: FailureCause; sourceId: string | undefined }) {
  return (
    <div className="cause">
      <span className="cause-count num">{cause.count.toLocaleString('en')} ×</span>
      <div>
        <Text as="p" size="2">
          <span className="mono">{cause.code}</span> {cause.detail}
        </Text>
        {cause.sample !== null && cause.sample.message !== cause.detail && <p className="mono cause-log">{cause.sample.message}</p>}
        <Text size="1" color="gray">
          first on{' '}
          <Link
            className="link"
            to="/devices/$id"
            params={{ id: cause.firstDevice }}
            search={cause.deploymentId === null ? {} : { tab: 'history', at: cause.deploymentId }}
          >
            {cause.firstDevice}
          </Link>{' '}
          <Time at={cause.since} /> <PlaceLink place={cause.place} sourceId={sourceId} />
        </Text>
      </div>
    </div>
  );
}

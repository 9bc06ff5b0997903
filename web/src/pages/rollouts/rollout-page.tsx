import { PageHead } from '../../ui/page-head.tsx';

export function RolloutPage() {
  return <PageHead title="Rollout" />;
}

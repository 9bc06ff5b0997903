import { PageHead } from '../../ui/page-head.tsx';

export function RolloutsPage() {
  return <PageHead title="Rollouts" />;
}

import { PageHead } from '../../ui/page-head.tsx';

export function IntegrationPage() {
  return <PageHead title="Integration" />;
}

import { PageHead } from '../../ui/page-head.tsx';

export function IntegrationsPage() {
  return <PageHead title="Integrations" />;
}

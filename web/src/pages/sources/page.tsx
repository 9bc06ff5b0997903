import { PageHead } from '../../ui/page-head.tsx';

export function SourcesPage() {
  return <PageHead title="Sources" />;
}

import { PageHead } from '../../ui/page-head.tsx';

export function SourcePage() {
  return <PageHead title="Source" />;
}

import { PageHead } from '../../ui/page-head.tsx';

export function DevicesPage() {
  return <PageHead title="Devices" />;
}

import { PageHead } from '../../ui/page-head.tsx';

export function DevicePage() {
  return <PageHead title="Device" />;
}

import { IconButton } from '@radix-ui/themes';
import { X } from 'lucide-react';
import { Code } from '../../ui/code/code.tsx';
import { Time } from '../../ui/time.tsx';

/** The data of one row as they are stored. */
export function Details({ title, at, data, onClose }: { title: string; at: string; data: Record<string, unknown>; onClose: () => void }) {
  return (
    <section className="panel" aria-label={`Details of ${title}`}>
      <div className="panel-head">
        <span className="mono">{title}</span>
        <Time at={at} exact />
        <IconButton variant="ghost" color="gray" size="1" aria-label="Close the details" onClick={onClose} style={{ marginLeft: 'auto' }}>
          <X size={14} />
        </IconButton>
      </div>
      <Code text={JSON.stringify(data, null, 2)} path={`${title}.json`} />
    </section>
  );
}

import { Heading } from '@radix-ui/themes';
import { type ReactNode, useEffect } from 'react';

/** The title of a page, what stands beside it, and its acts on the right. */
export function PageHead({ title, beside, acts }: { title: string; beside?: ReactNode; acts?: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Bellwether`;
  }, [title]);
  return (
    <div className="page-head">
      <Heading as="h1" size="5" weight="medium">
        {title}
      </Heading>
      {beside}
      {acts !== undefined && <div className="acts">{acts}</div>}
    </div>
  );
}

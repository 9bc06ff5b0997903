import { Button, Callout, Flex, Skeleton, Text } from '@radix-ui/themes';
import { Inbox, RotateCw, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { ApiError } from '../api/client.ts';

/** Nothing to show: says what to do next. */
export function EmptyState({ title, hint, children }: { title: string; hint?: ReactNode; children?: ReactNode }) {
  return (
    <div className="empty">
      <Inbox size={22} aria-hidden />
      <Text size="3" weight="medium">
        {title}
      </Text>
      {hint !== undefined && (
        <Text size="2" as="p" style={{ maxWidth: 480 }}>
          {hint}
        </Text>
      )}
      {children}
    </div>
  );
}

/** An error as the API tells it, with each wrong field, and a way to try again. */
export function ErrorState({ error, retry }: { error: Error; retry?: () => void }) {
  const errors = error instanceof ApiError ? error.errors : [];
  return (
    <Callout.Root color="red" role="alert">
      <Callout.Icon>
        <TriangleAlert size={16} />
      </Callout.Icon>
      <Callout.Text>
        {error.message}
        {errors.map(({ pointer, detail }) => (
          <span key={`${pointer} ${detail}`} style={{ display: 'block' }}>
            {pointer}: {detail}
          </span>
        ))}
      </Callout.Text>
      {retry !== undefined && (
        <Button variant="soft" color="red" size="1" onClick={retry} style={{ justifySelf: 'start' }}>
          <RotateCw size={12} /> Try again
        </Button>
      )}
    </Callout.Root>
  );
}

export function Loading({ lines = 4 }: { lines?: number }) {
  return (
    <Flex direction="column" gap="2" aria-busy="true" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines are all the same
        <Skeleton key={line} height="20px" width={`${92 - ((line * 17) % 40)}%`} />
      ))}
    </Flex>
  );
}

type Result<Data> = { data: Data | undefined; error: Error | null; refetch: () => unknown };

/** The three states of a read: loading, failed, there. Data that is there stays while it is read again. */
export function Loaded<Data>({ result, lines, children }: { result: Result<Data>; lines?: number; children: (data: Data) => ReactNode }) {
  if (result.data !== undefined) return children(result.data);
  if (result.error !== null) return <ErrorState error={result.error} retry={() => void result.refetch()} />;
  return <Loading {...(lines === undefined ? {} : { lines })} />;
}

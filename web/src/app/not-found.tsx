import { Button } from '@radix-ui/themes';
import { Link } from '@tanstack/react-router';
import { EmptyState } from '../ui/states.tsx';

export function NotFound() {
  return (
    <EmptyState title="There is no such page" hint="The address may be old, or what it named was deleted.">
      <Button asChild>
        <Link to="/">Go to the overview</Link>
      </Button>
    </EmptyState>
  );
}

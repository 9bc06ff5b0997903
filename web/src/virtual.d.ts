declare module 'virtual:event-kinds' {
  import type { SeverityRule } from '../../src/wire/event/kind.ts';

  export const KINDS: Record<string, { severity: SeverityRule; sentence: string } | undefined>;
}

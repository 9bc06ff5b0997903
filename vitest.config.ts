import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/sequencer.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // Most tests wait for processes, sockets and the database: of two cores two at once leave a third unused, three at once a seventh.
    maxWorkers: 3,
    // Only what hangs is to meet them: a busy machine takes ten times as long as a quiet one.
    testTimeout: 480_000,
    hookTimeout: 480_000,
    restoreMocks: true,
  },
});

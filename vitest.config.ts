import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/sequencer.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    // A worker keeps the modules that it loaded for its next file: a fifth of the processor's time. No file changes a module for others.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    // Most tests wait for processes, sockets and the database, some for a minute: fewer at once leave a part of two cores unused.
    maxWorkers: 4,
    // Only what hangs is to meet them: a busy machine takes ten times as long as a quiet one.
    testTimeout: 480_000,
    // A busy machine shows a page's change late.
    expect: { poll: { timeout: 180_000 } },
    hookTimeout: 480_000,
    restoreMocks: true,
  },
});

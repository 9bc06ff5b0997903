import { z } from 'zod';
import { pause } from '../../async/pause.ts';
import { isProblem } from '../../errors.ts';
import type { Repository } from '../stack/repositories.ts';
import { openStack, type Stack, type StackOptions } from '../stack/stack.ts';
import { type GoliothServer, openGolioth } from '../vendors/golioth/server.ts';
import { type MobivisorServer, startMobivisor } from '../vendors/mobivisor/server.ts';

/** A service beside two platforms that hold devices, and a repository with configuration for some of them. */
export type Platforms = Stack & { golioth: GoliothServer; mobivisor: MobivisorServer; repository: Repository };

const FIXTURE = 'meters';
/** Pause between two requests that wait for a fact. */
export const ASK_MS = 100;
export const METERS = 40;
export const TABLETS = 10;

export async function openPlatforms(options: StackOptions, stopped: AbortSignal): Promise<Platforms> {
  return openStack(
    options,
    stopped,
    (repositories) => repositories.create(FIXTURE, 'fleet', FIXTURE),
    async (stack, repository) => {
      options.say('Starting servers that answer as the platforms Golioth and Mobivisor do, with their devices …');
      const golioth = await openGolioth();
      stack.onClose(() => golioth.close());
      const mobivisor = await startMobivisor({ sides: { showsConfiguration: false } });
      stack.onClose(() => mobivisor.close());
      golioth.addSetting('REPORT_SECONDS', 'integer', 300);
      golioth.addSetting('LED', 'boolean', false);
      for (let n = 0; n < METERS; n += 1) golioth.addDevice({ name: `meter-${n}`, values: { tags: ['basement'] }, state: { battery: 90 } });
      for (let n = 0; n < TABLETS; n += 1) mobivisor.addDevice({ name: `tablet-${n}` });
      return { golioth, mobivisor, repository };
    },
  );
}

const Created = z.object({ slug: z.string() });

/** @returns the slug, by which the API names the integration */
export async function createIntegration({ api }: Stack, wanted: Record<string, unknown>): Promise<string> {
  return Created.parse(await api.send('POST', '/integrations', wanted)).slug;
}

const Status = z.object({ running: z.unknown(), lastRun: z.object({ id: z.string() }).nullable() });

/** Syncs the integration now. @returns the counts of the run that did it */
export async function sync(stack: Stack, slug: string): Promise<Record<string, number>> {
  using recording = stack.feed.record();
  const subject = `integration:${slug}`;
  await requestSync(stack, slug);
  const isEnd = ({ type, subject: about }: { type: string; subject: string }) =>
    about === subject && (type === 'integration.synced' || type === 'integration.sync_failed');
  const { event } = await recording.find(`the end of the sync of ${slug}`, isEnd);
  return z.record(z.string(), z.number()).catch({}).parse(event.data.counts);
}

/** A sync that an edit began may run already. */
async function requestSync({ api, signal }: Stack, slug: string): Promise<void> {
  for (;;) {
    try {
      await api.send('POST', `/integrations/${slug}/sync`);
      return;
    } catch (error) {
      if (!isProblem(error, 'integration_busy')) throw error;
      await pause(ASK_MS, signal);
      signal.throwIfAborted();
    }
  }
}

/** Waits for the sync that begins when an integration is created. */
export async function firstSync(stack: Stack, slug: string): Promise<void> {
  for (;;) {
    const { lastRun } = Status.parse(await stack.api.get(`/integrations/${slug}/sync-status`));
    if (lastRun !== null) return;
    await pause(ASK_MS, stack.signal);
    stack.signal.throwIfAborted();
  }
}

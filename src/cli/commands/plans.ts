import { type Command, Option } from 'commander';
import { Problem } from '../../errors.ts';
import { calling, type Terminal } from '../call.ts';
import { createClient } from '../client.ts';

/** No other request takes as long as the fetch and validation of a large fleet. */
const TIMEOUT_MS = 180_000;

/** `bellwether plan`: for people before they push, and for CI, which checks the exit code. */
export function registerPlanCommand(plan: Command, io: Terminal): void {
  const command = plan
    .argument('<source>', 'id of the source')
    .requiredOption('--ref <ref>', 'branch, tag or commit to preview as the new head')
    .addOption(new Option('--format <format>', 'output format').choices(['text', 'markdown', 'json']).default('text'));
  calling(command, io, async (call) => {
    // Loaded here, so that other commands start faster.
    const [{ PlanSchema }, { renderMarkdown, renderText }, { isRefused }] = await Promise.all([
      import('../../api/plan/schemas.ts'),
      import('../../plan/post/render.ts'),
      import('../../plan/plan.ts'),
    ]);
    const { server, token, proxies } = call;
    const client = createClient({ server, token, proxies, signal: io.signal, timeoutMs: TIMEOUT_MS });
    const answer = await client.send('POST', `/sources/${call.segment(0)}/plan?${new URLSearchParams({ ref: call.text('ref') ?? '' })}`);
    const parsed = PlanSchema.safeParse(answer);
    if (!parsed.success)
      throw new Problem('unexpected_answer', 'Cannot read the plan: the server uses another version of its format', {
        cause: parsed.error,
      });
    const format = call.json ? 'json' : call.text('format');
    if (format === 'json') io.out(`${JSON.stringify(answer, null, 2)}\n`);
    else io.out(format === 'markdown' ? `${renderMarkdown(parsed.data)}\n` : renderText(parsed.data));
    if (isRefused(parsed.data)) throw new Problem('plan_refused', `Ref "${parsed.data.ref}" does not validate`);
  });
}

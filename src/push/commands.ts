import type { Leases } from '../adapter/leases.ts';
import type { Adapters } from '../adapter/registry.ts';
import { startDeadline } from '../async/deadline.ts';
import { type ExternalCommand, externalCommands, noteReference } from '../command/external-store.ts';
import { moveCommands } from '../command/store.ts';
import { messageOf } from '../errors.ts';
import { type Store, transact } from '../event/transact.ts';
import { integrationProblem } from '../integration/problems.ts';
import type { CommandOutcome } from '../integration/provider.ts';
import type { Log } from '../log.ts';
import type { Json } from '../wire/text/json.ts';

export type CommandDeps = { store: Store; adapters: Adapters; leases: Leases; log: Log };

/** Sends the commands of devices whose platform runs them, and asks for outcomes. `close` waits for requests in flight. */
export type ExternalCommands = { runOnce(): Promise<void>; close(): Promise<void> };

const AT_ONCE = 64;
const BATCH = 200;
const CALL_MS = 30_000;
/** Pause between two questions for an outcome: a quarter of the time since the command was sent, within these limits. */
const ASK_MS = { min: 2_000, max: 60_000, part: 0.25 };

/**
 * Each command is marked as sent before it is sent, so that a crash in between loses it instead of repeating it: a restart twice is worse than none,
 * and its expiry shows. Requests of a slow platform stay in flight while those of others begin.
 */
export function createExternalCommands(deps: CommandDeps): ExternalCommands {
  const stopping = new AbortController();
  const inFlight = new Map<string, Promise<void>>();
  /** When each command's platform is asked again, by this process. */
  const nextAt = new Map<string, number>();
  const start = (command: ExternalCommand) => {
    const work = advance(deps, command, stopping.signal)
      .catch((error: unknown) => {
        deps.log.warn(
          { err: error, commandId: command.id },
          'failed to run a command on its platform; it is asked again until the command expires',
        );
      })
      .finally(() => inFlight.delete(command.id));
    inFlight.set(command.id, work);
  };
  return {
    runOnce: async () => {
      const adapters = deps.adapters.names.filter((name) => {
        const adapter = deps.adapters.get(name);
        return adapter.delivery === 'push' && adapter.commands === 'platform';
      });
      if (adapters.length === 0 || inFlight.size >= AT_ONCE) return;
      const now = Date.now();
      for (const [id, at] of nextAt) if (at <= now) nextAt.delete(id);
      const due = await externalCommands(deps.store.sql, { adapters, except: [...inFlight.keys(), ...nextAt.keys()], limit: BATCH });
      for (const command of due.slice(0, AT_ONCE - inFlight.size)) {
        const age = command.sentAt === null ? 0 : now - command.sentAt.getTime();
        nextAt.set(command.id, now + Math.min(ASK_MS.max, Math.max(ASK_MS.min, age * ASK_MS.part)));
        start(command);
      }
    },
    close: async () => {
      stopping.abort();
      await Promise.all(inFlight.values());
    },
  };
}

async function advance(deps: CommandDeps, command: ExternalCommand, signal: AbortSignal): Promise<void> {
  const { reference } = command;
  if (reference === null && !(await move(deps.store, command, 'sent', undefined))) return;
  let outcome: CommandOutcome;
  try {
    outcome = await call(deps.leases, command, signal);
  } catch (error) {
    if (reference !== null || signal.aborted) throw error;
    // Whether the platform has it is unknown after some of these errors. It is not sent again.
    await move(deps.store, command, 'failed', { error: messageOf(error).slice(0, 2_000) });
    return;
  }
  if (outcome.state !== 'sent') await move(deps.store, command, outcome.state, outcome.result);
  else if (reference !== outcome.reference) await noteReference(deps.store.sql, command.organizationId, command.id, outcome.reference);
}

async function call(leases: Leases, command: ExternalCommand, signal: AbortSignal): Promise<CommandOutcome> {
  const { organizationId, deviceId, id, type, payload, expiresAt, reference, place } = command;
  if (place === null)
    throw integrationProblem(
      'integration_unassigned',
      `Cannot run "${type}": no integration of type "${command.adapter}" has device "${deviceId}"`,
    );
  const { platform, release } = await leases.take(place.integrationId);
  const deadline = startDeadline(CALL_MS, signal);
  const target = { organizationId, deviceId, externalId: place.externalId };
  try {
    if (reference === null && platform.execute !== undefined)
      return await platform.execute(target, { id, type, payload, expiresAt }, deadline.signal);
    if (reference !== null && platform.outcome !== undefined) return await platform.outcome(target, reference, deadline.signal);
    throw integrationProblem('integration_unsupported', `Cannot run "${type}": platform "${command.adapter}" runs no commands`);
  } finally {
    deadline.clear();
    release();
  }
}

/** @returns false when the command was already in that state, or has ended */
async function move(
  store: Store,
  command: ExternalCommand,
  to: 'sent' | 'completed' | 'failed',
  result: Json | undefined,
): Promise<boolean> {
  const { organizationId, id, deviceId } = command;
  return transact(store, async ({ tx, emit }) => {
    const moved = await moveCommands(tx, organizationId, [{ deviceId, commandId: id, to, result }]);
    for (const { type, state, result: shown } of moved)
      emit({ organizationId, type: 'command.state', subject: `device:${deviceId}`, data: { commandId: id, type, state, result: shown } });
    return moved.length > 0;
  });
}

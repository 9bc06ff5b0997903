import type { Db } from '../db/connect.ts';
import { type Command, type CommandState, commandStatesBefore } from './command.ts';
import { shownCommand } from './redact.ts';

const columns = (sql: Db) => sql`
  organization_id as "organizationId", id, device_id as "deviceId", type, payload, state, result, created_by as "createdBy",
  created_at as "createdAt", expires_at as "expiresAt", sent_at as "sentAt", finished_at as "finishedAt"`;

export async function insertCommand(
  tx: Db,
  command: {
    organizationId: string;
    id: string;
    deviceId: string;
    type: string;
    payload: Record<string, unknown>;
    createdBy: string;
    ttlSeconds: number;
  },
): Promise<Command> {
  const [row] = await tx<Command[]>`
    insert into commands (organization_id, id, device_id, type, payload, created_by, expires_at)
    values (${command.organizationId}, ${command.id}, ${command.deviceId}, ${command.type}, ${tx.json(command.payload as never)}, ${command.createdBy},
            now() + make_interval(secs => ${command.ttlSeconds}))
    returning ${columns(tx)}`;
  if (row === undefined) throw new Error('insert returned no row');
  return row;
}

/** Newest first. */
export async function listCommands(
  sql: Db,
  organizationId: string,
  deviceId: string,
  before: string | null,
  limit: number,
): Promise<Command[]> {
  return sql<Command[]>`
    select ${columns(sql)} from commands
    where organization_id = ${organizationId} and device_id = ${deviceId} ${before === null ? sql`` : sql`and id < ${before}`}
    order by id desc limit ${limit}`;
}

export async function commandOf(sql: Db, organizationId: string, deviceId: string, id: string): Promise<Command | undefined> {
  const [row] = await sql<
    Command[]
  >`select ${columns(sql)} from commands where organization_id = ${organizationId} and device_id = ${deviceId} and id = ${id}`;
  return row;
}

/** Lists commands that were not sent to the device and have not expired, oldest first, at most 50. */
export async function pendingCommands(sql: Db, organizationId: string, deviceId: string): Promise<Command[]> {
  return sql<Command[]>`
    select ${columns(sql)} from commands
    where organization_id = ${organizationId} and device_id = ${deviceId} and state = 'queued' and expires_at > now()
    order by created_at, id limit 50`;
}

export type CommandMove = { deviceId: string; commandId: string; to: CommandState; result: unknown };

/** Applies the transitions that are still allowed. @returns the changed commands, without secrets */
export async function moveCommands(tx: Db, organizationId: string, moves: readonly CommandMove[]): Promise<Command[]> {
  const moved: Command[] = [];
  for (const to of new Set(moves.map((move) => move.to))) {
    const group = moves.filter((move) => move.to === to);
    const rows = await tx<Command[]>`
      update commands c set state = ${to}, result = coalesce(m.result::jsonb, c.result),
        sent_at = coalesce(c.sent_at, now()), finished_at = case when ${to} in ('completed', 'failed', 'expired', 'cancelled') then now() end
      from unnest(${group.map((m) => m.deviceId)}::text[], ${group.map((m) => m.commandId)}::text[],
                  ${group.map((m) => (m.result === undefined ? null : JSON.stringify(m.result)))}::text[]) as m (device, command, result)
      where c.organization_id = ${organizationId} and c.device_id = m.device and c.id::text = m.command and c.state in ${tx(commandStatesBefore(to))}
      returning c.organization_id as "organizationId", c.id, c.device_id as "deviceId", c.type, c.payload, c.state, c.result,
        c.created_by as "createdBy", c.created_at as "createdAt", c.expires_at as "expiresAt", c.sent_at as "sentAt", c.finished_at as "finishedAt"`;
    moved.push(...rows.map(shownCommand));
  }
  return moved;
}

export async function expireCommands(tx: Db): Promise<Command[]> {
  return tx<Command[]>`
    update commands set state = 'expired', finished_at = now() where state in ('queued', 'sent') and expires_at <= now()
    returning ${columns(tx)}`;
}

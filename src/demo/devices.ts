import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Kind } from './stack/kinds.ts';
import { type Started, startProcess } from './stack/processes.ts';

/** A device: a folder that stands for its disk, with an agent that runs in its own process. */
export type DemoDevice = {
  id: string;
  kind: Kind;
  /** Name of its repository, and the folder in it ('' = the whole). */
  repository: string;
  folder: string;
  root: string;
};

/** The view of a device's software: a digest of paths, modes and contents, and the number of its reloads. */
export type Fingerprint = { files: string; reloads: number };

const AGENT = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));

/** Hooks are what the device's owner installs: this one stands for making the software read its files again. */
const RELOAD = `#!/bin/sh
echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) reloaded" >> "$(dirname "$0")/../reload.log"
`;

/** No resolver answers names that end in .invalid (RFC 2606). */
const CHECK_CONFIG = `#!/bin/sh
cd "$BELLWETHER_RELEASE" || exit 1
found=$(grep -rnE '[.]invalid([^A-Za-z0-9.-]|$)' config) || exit 0
echo "this host does not resolve: $found" >&2
exit 1
`;

/** Installs the hooks and starts the agent. */
export async function startDevice(device: DemoDevice, server: string, apiKey: string): Promise<Started> {
  const hooks = join(device.root, 'hooks');
  await mkdir(hooks, { recursive: true });
  for (const [name, script] of [
    ['reload', RELOAD],
    ['check-config', CHECK_CONFIG],
  ] as const) {
    await writeFile(join(hooks, name), script);
    await chmod(join(hooks, name), 0o755);
  }
  return startProcess({
    name: `agent of ${device.id}`,
    args: [AGENT, '--server', server, '--root', device.root, '--device-id', device.id],
    // Not an argument: anyone on this machine can read those.
    env: { BELLWETHER_AGENT_API_KEY: apiKey },
    logFile: agentLogOf(device),
  });
}

/** The bundle that the device runs, read from its disk. */
export async function fingerprintOf(device: DemoDevice): Promise<Fingerprint> {
  const current = await realpath(join(device.root, 'current'));
  const hash = createHash('sha256');
  const entries = (await readdir(current, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  for (const path of entries.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    const { mode, size } = await stat(path);
    hash.update(`${relative(current, path)}\0${mode.toString(8)}\0${size}\0`).update(await readFile(path));
  }
  const reloads = (await readFile(join(device.root, 'reload.log'), 'utf8').catch(() => '')).split('\n').length - 1;
  return { files: hash.digest('hex'), reloads };
}

/** A file that the device's software reads. */
export async function fileOn(device: DemoDevice, file: string): Promise<string> {
  return readFile(join(device.root, 'current', file), 'utf8');
}

const LogLine = z.object({
  level: z.string(),
  time: z.string(),
  msg: z.string(),
  deploymentId: z.string().optional(),
  detail: z.string().optional(),
});

/** The agent's own log lines about a failed deployment. */
export async function complaintsOf(device: DemoDevice, deploymentId: string): Promise<string[]> {
  const lines = (await readFile(agentLogOf(device), 'utf8')).split('\n').filter(Boolean);
  return lines
    .flatMap(parseLine)
    .filter((line) => line.deploymentId === deploymentId && (line.level === 'error' || line.level === 'warn'))
    .map(({ level, msg, detail }) => `${level}: ${msg}${detail === undefined ? '' : `: ${detail}`}`);
}

function parseLine(line: string): z.infer<typeof LogLine>[] {
  try {
    return [LogLine.parse(JSON.parse(line))];
  } catch {
    // Not the agent's own: a warning of the runtime, say.
    return [];
  }
}

function agentLogOf(device: DemoDevice): string {
  return `${device.root}.log`;
}

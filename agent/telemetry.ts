import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, loadavg, totalmem, uptime } from 'node:os';
import type { Agent } from './context.ts';
import { heartbeatReport, telemetryReport } from './reports.ts';
import { pause } from './signals.ts';

/** Heartbeat and measurements, spread by a tenth so that a fleet that started together does not stay in step. */
export async function beat(agent: Agent, heartbeatSeconds: () => number, signal: AbortSignal): Promise<void> {
  const measure = createMeter(agent.root.folder);
  while (!signal.aborted) {
    await agent.outbox.add([await heartbeatReport(agent), telemetryReport(agent, await measure())]);
    await pause(heartbeatSeconds() * 1000 * (0.9 + Math.random() / 5), signal);
  }
}

/**
 * What a device says about itself, from the kernel's own counters: a measuring library costs 10 MB of memory and starts programs.
 * Percent are 0 to 100, `_bytes` count since the device's start.
 */
export function createMeter(folder: string): () => Promise<Record<string, number>> {
  let before = cpuTimes();
  return async () => {
    const now = cpuTimes();
    const total = now.total - before.total;
    const cpu = total > 0 ? 100 * (1 - (now.idle - before.idle) / total) : 0;
    before = now;
    const memory = await availableMemory();
    const disk = await statfs(folder);
    return {
      cpu_percent: round(cpu),
      memory_percent: round(100 * (1 - memory / totalmem())),
      disk_percent: round(disk.blocks > 0 ? 100 * (1 - disk.bavail / disk.blocks) : 0),
      load1: round(loadavg()[0] ?? 0),
      cpus: availableParallelism(),
      uptime_seconds: Math.round(uptime()),
      agent_memory_bytes: process.memoryUsage.rss(),
      ...(await networkBytes()),
    };
  };
}

function cpuTimes(): { idle: number; total: number } {
  const times = cpus().map((cpu) => cpu.times);
  const idle = times.reduce((sum, time) => sum + time.idle, 0);
  return { idle, total: times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0) };
}

/** Memory that programs could have: the page cache counts as free. */
async function availableMemory(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1];
  return available === undefined ? freemem() : Number(available) * 1024;
}

/** Sums over all interfaces but the loopback; nothing where the system does not tell. */
async function networkBytes(): Promise<Record<string, number>> {
  const text = await readFile('/proc/net/dev', 'utf8').catch(() => '');
  const counts = text.split('\n').flatMap((line) => {
    const match = /^\s*([^:\s]+):\s*(.+)$/.exec(line);
    if (match === null || match[1] === 'lo') return [];
    const numbers = (match[2] ?? '').trim().split(/\s+/).map(Number);
    return [{ received: numbers[0] ?? 0, sent: numbers[8] ?? 0 }];
  });
  if (counts.length === 0) return {};
  return {
    network_rx_bytes: counts.reduce((sum, { received }) => sum + received, 0),
    network_tx_bytes: counts.reduce((sum, { sent }) => sum + sent, 0),
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

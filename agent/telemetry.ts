import { statfs } from 'node:fs/promises';
import { loadavg, uptime } from 'node:os';
import type { Agent } from './context.ts';
import { heartbeatReport, telemetryReport } from './reports.ts';
import { aroundMs } from './time/backoff.ts';
import { pause } from './time/signals.ts';

/** Adds a heartbeat and measurements periodically. The period varies by 10 %, so that devices that started together do not stay synchronised. */
export async function beat(agent: Agent, heartbeatSeconds: () => number, signal: AbortSignal): Promise<void> {
  const measure = createMeter(agent.root.folder);
  while (!signal.aborted) {
    const metrics = await measure();
    await agent.outbox.add([await heartbeatReport(agent), telemetryReport(agent, metrics)]);
    await pause(aroundMs(heartbeatSeconds(), Math.random()), signal);
  }
}

/**
 * Measures the device. Percentages are 0 to 100; `network_*_bytes` count since the device's start. The agent loads the measuring library at
 * the first measurement, so that its first poll does not wait for it.
 */
export function createMeter(folder: string): () => Promise<Record<string, number>> {
  return async () => {
    const { currentLoad, mem, networkStats } = await import('systeminformation');
    // '*' gives one entry for every interface.
    const [load, memory, network, disk] = await Promise.all([currentLoad(), mem(), networkStats('*'), statfs(folder)]);
    const measured = {
      cpu_percent: load.currentLoad,
      // The page cache counts as free, because programs can use it.
      memory_percent: 100 * (1 - memory.available / memory.total),
      disk_percent: disk.blocks > 0 ? 100 * (1 - disk.bavail / disk.blocks) : 0,
      load1: loadavg()[0] ?? 0,
      cpus: load.cpus.length,
      uptime_seconds: uptime(),
      agent_memory_bytes: process.memoryUsage.rss(),
      network_rx_bytes: network.reduce((sum, { rx_bytes }) => sum + rx_bytes, 0),
      network_tx_bytes: network.reduce((sum, { tx_bytes }) => sum + tx_bytes, 0),
    };
    // Leaves out values that a platform does not measure: the protocol takes finite numbers only.
    return Object.fromEntries(
      Object.entries(measured)
        .filter(([, value]) => Number.isFinite(value))
        .map(([name, value]) => [name, round(value)]),
    );
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

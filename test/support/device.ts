import type { Device } from '../../src/device/device.ts';

/** A device that follows its source, runs nothing in particular and is online. */
export function aDevice(over: Partial<Device> = {}): Device {
  const now = new Date('2026-01-01T00:00:00Z');
  return {
    organizationId: 'o',
    id: 'd',
    name: 'd',
    type: 't',
    labels: {},
    siteId: null,
    adapter: 'agent',
    simulated: false,
    sourceKind: 'GIT',
    sourceId: 's',
    path: '',
    following: true,
    workspace: null,
    desiredBundle: null,
    desiredRevisionId: null,
    deploymentId: null,
    sequence: 1,
    goodBundle: null,
    goodRevisionId: null,
    reportedBundle: null,
    reportedAt: null,
    condemnedBundle: null,
    driftedPaths: null,
    syncStatus: 'in_sync',
    syncSince: now,
    connectivity: 'online',
    lastSeenAt: now,
    agentVersion: null,
    errorCode: null,
    errorDetail: null,
    hold: null,
    version: 1,
    createdAt: now,
    updatedAt: now,
    ...over,
  };
}

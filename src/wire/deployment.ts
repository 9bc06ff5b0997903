/** The states of one attempt to bring a bundle to a device, in the order of a deployment's life; the last six are final. */
export const DEPLOYMENT_STATES = [
  'queued',
  'delivering',
  'applying',
  'confirming',
  'succeeded',
  'failed',
  'rolled_back',
  'superseded',
  'cancelled',
  'timed_out',
] as const;
export type DeploymentState = (typeof DEPLOYMENT_STATES)[number];

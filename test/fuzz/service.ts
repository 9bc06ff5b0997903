import { logLine, type ServiceProcess, startServiceProcess } from '../support/service-process.ts';

const UNLIMITED = '1000000';

export type FuzzedService = ServiceProcess & {
  /** Forbidden lines of its log: errors, and lines that no logger wrote. */
  complaints: readonly string[];
};

/** Starts the service without limits that would refuse a flood of requests. */
export async function startService(env: {
  DATA_DIR: string;
  DATABASE_URL: string;
  BELLWETHER_ADMIN_TOKEN: string;
}): Promise<FuzzedService> {
  const complaints: string[] = [];
  const settings = {
    ALLOW_PRIVATE_NOTIFICATION_HOSTS: 'true',
    ALLOW_PRIVATE_INTEGRATION_HOSTS: 'true',
    RATE_LIMIT_TOKEN: UNLIMITED,
    RATE_LIMIT_DEVICE: UNLIMITED,
    RATE_LIMIT_HOOK: UNLIMITED,
    RATE_LIMIT_REFUSED: UNLIMITED,
  };
  const service = await startServiceProcess({ ...settings, ...env }, (line) => {
    if (isComplaint(line)) complaints.push(line);
  });
  return { ...service, complaints };
}

function isComplaint(line: string): boolean {
  const { level } = logLine(line);
  return line !== '' && level !== 'info' && level !== 'warn' && level !== 'debug';
}

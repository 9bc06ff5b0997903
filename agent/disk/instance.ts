import { randomBytes } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { sha256Hex } from '../../src/wire/bundle.ts';

const DIGITS = 12;

/**
 * Distinguishes this agent from another one with a copy of its root: `<machine>.<start>`. The second part is random at each start and is
 * never stored, so that a copied disk does not contain it. The first part is for people. It derives from the machine's id (its network
 * addresses where it has none) and from the root's inode, which a copy on the same machine does not share.
 */
export async function instanceOf(root: string): Promise<string> {
  await mkdir(root, { recursive: true, mode: 0o755 }).catch(() => undefined);
  const inode = await stat(root, { bigint: true }).then(
    ({ ino }) => String(ino),
    () => '',
  );
  const machine = sha256Hex([await machineId(), inode].join('\n')).slice(0, DIGITS);
  return `${machine}.${randomBytes(DIGITS / 2).toString('hex')}`;
}

async function machineId(): Promise<string> {
  const id = await readFile('/etc/machine-id', 'utf8').then(
    (text) => text.trim(),
    () => '',
  );
  if (id !== '') return id;
  const addresses = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.filter(({ internal }) => !internal));
  return [...new Set(addresses.map(({ mac }) => mac))].sort().join();
}

import { randomUUID } from 'node:crypto';
import type { TestGitHost } from '../support/git-host.ts';
import { postGitLabPush } from '../support/hooks.ts';
import { type Config, committed, FLEET_FILE, type Folder, foldersOf, isValid, REFUSING, REPOSITORIES, type Repository } from './fleet.ts';
import type { Random } from './random.ts';
import { pause, within } from './wait.ts';

export type Kind = 'good' | 'invalid' | 'unhealthy';
/** `isSound`: every folder of the repository is valid at this commit. `taken`: the service accepted its hook with 202. */
export type Push = { repository: Repository; commit: string; kind: Kind; isSound: boolean; taken: boolean };

/** Time limit of a hook's tries, ms. A git host would stop trying, and a longer outage would be permanent. */
const HOOK_PATIENCE_MS = 180_000;

/** Commits to the repositories and posts their hooks like GitLab. It repeats a delivery until the service answers 202. */
export function createPushes(host: TestGitHost, hookUrls: ReadonlyMap<Repository, string>, random: Random) {
  const log: Push[] = [];
  const byCommit = new Map<string, Push>();
  const newest = new Map<Repository, Push>();
  const heads = new Map<string, Config>();
  /** All valid committed configs by device and version: a device may run no others. */
  const valid = new Map<string, Config>();
  const posting = new Set<Promise<void>>();
  let version = 0;

  const postHook = async (push: Push) => {
    const id = randomUUID();
    push.taken = await within(HOOK_PATIENCE_MS, async () => {
      const response = await postGitLabPush(hookUrls.get(push.repository)!, { after: push.commit }, { id });
      await response.body?.cancel();
      return response.status === 202;
    });
  };

  const push = async (repository: Repository, kind: Kind, folders: readonly Folder[]): Promise<Push> => {
    const files: Record<string, string> = repository === 'fleet' ? { ...FLEET_FILE } : {};
    for (const folder of folders) {
      version += 1;
      const config = configOf(kind, version);
      heads.set(folder.device, config);
      if (isValid(config)) valid.set(`${folder.device} ${config.version}`, config);
      Object.assign(files, committed(folder, config));
    }
    const commit = await host.commit(repository, files);
    const made: Push = { repository, commit, kind, isSound: isSound(repository, heads), taken: false };
    log.push(made);
    byCommit.set(commit, made);
    newest.set(repository, made);
    const delivery = postHook(made).finally(() => posting.delete(delivery));
    posting.add(delivery);
    return made;
  };

  return {
    log,
    push,
    /** A random change: its repository, its folder, and whether it is good. */
    async random(): Promise<void> {
      const repository = random.pick(REPOSITORIES);
      const kind = random.pick(['good', 'good', 'good', 'invalid', repository === 'fleet' ? 'unhealthy' : 'good'] as const);
      const all = foldersOf(repository);
      const some = all.filter(() => random.next() < 0.5);
      const refusing = all.filter(({ device }) => device === REFUSING);
      await push(repository, kind, kind === 'unhealthy' ? refusing : some.length > 0 ? some : all.slice(0, 1));
    },
    /** Pushes a good commit to every folder of every repository, so that the desired config of each device is known. */
    async allGood(): Promise<void> {
      for (const repository of REPOSITORIES) await push(repository, 'good', foldersOf(repository));
    },
    /** Waits until the service accepted every hook with 202, or its time limit passed. */
    async delivered(): Promise<void> {
      while (posting.size > 0) await Promise.all([...posting, pause(1)]);
    },
    head: (repository: Repository) => newest.get(repository),
    made: (commit: string) => byCommit.get(commit),
    config: (device: string) => heads.get(device),
    /** The valid config of the version in a release. */
    validOf: (device: string, files: Readonly<Record<string, string>>) => valid.get(`${device} ${versionOf(files['app.json'])}`),
  };
}

function versionOf(text: string | undefined): number {
  return Number(/^\{"version":(\d+),/.exec(text ?? '')?.[1] ?? Number.NaN);
}

function configOf(kind: Kind, version: number): Config {
  const host = `${version}.example.${kind === 'unhealthy' ? 'invalid' : 'com'}`;
  return { version, vlan: kind === 'invalid' ? 5000 : 1 + (version % 4000), host };
}

function isSound(repository: Repository, heads: ReadonlyMap<string, Config>): boolean {
  return foldersOf(repository).every(({ device }) => {
    const config = heads.get(device);
    return config === undefined || isValid(config);
  });
}

import { randomUUID } from 'node:crypto';
import type { TestGitHost } from '../support/git-host.ts';
import { postGitLabPush } from '../support/hooks.ts';
import { type Config, committed, FLEET_FILE, type Folder, foldersOf, isValid, REFUSING, REPOSITORIES, type Repository } from './fleet.ts';
import type { Random } from './random.ts';
import { pause, within } from './wait.ts';

export type Kind = 'good' | 'invalid' | 'unhealthy';
/** `isSound`: every folder of the repository is valid at this commit. `taken`: its hook was answered with 202. */
export type Push = { repository: Repository; commit: string; kind: Kind; isSound: boolean; taken: boolean };

/** A git host gives up after some tries; one whose hook is refused for this long is an outage that nobody mends. */
const HOOK_PATIENCE_MS = 180_000;

/** Commits to the repositories and tells their hooks as GitLab does: the same delivery again until it is answered with 202. */
export function createPushes(host: TestGitHost, hookUrls: ReadonlyMap<Repository, string>, random: Random) {
  const log: Push[] = [];
  const byCommit = new Map<string, Push>();
  const newest = new Map<Repository, Push>();
  const heads = new Map<string, Config>();
  /** All that a device may ever run, by device and version: what was valid when it was committed. */
  const valid = new Map<string, Config>();
  const telling = new Set<Promise<void>>();
  let version = 0;

  const tell = async (push: Push) => {
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
    const told = tell(made).finally(() => telling.delete(told));
    telling.add(told);
    return made;
  };

  return {
    log,
    push,
    /** A change that chance picks: which repository, which of its folders, and whether it is good. */
    async random(): Promise<void> {
      const repository = random.pick(REPOSITORIES);
      const kind = random.pick(['good', 'good', 'good', 'invalid', repository === 'fleet' ? 'unhealthy' : 'good'] as const);
      const all = foldersOf(repository);
      const some = all.filter(() => random.next() < 0.5);
      const refusing = all.filter(({ device }) => device === REFUSING);
      await push(repository, kind, kind === 'unhealthy' ? refusing : some.length > 0 ? some : all.slice(0, 1));
    },
    /** A good commit to every folder of every repository, so that what each device must run is known. */
    async allGood(): Promise<void> {
      for (const repository of REPOSITORIES) await push(repository, 'good', foldersOf(repository));
    },
    /** Until every hook was answered with 202, or given up. */
    async told(): Promise<void> {
      while (telling.size > 0) await Promise.all([...telling, pause(1)]);
    },
    head: (repository: Repository) => newest.get(repository),
    made: (commit: string) => byCommit.get(commit),
    config: (device: string) => heads.get(device),
    /** The valid config of the version that a release says it is. */
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

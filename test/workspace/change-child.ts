import { openWorkspaces, type WorkspaceStep } from '../../src/workspace/workspace.ts';
import { type Files, releaseOf } from './support.ts';

/**
 * Runs one change in a separate process, which kills itself at the given step (the first is 0). Without a kill it prints its steps.
 * Argument: JSON of `ChildTask`.
 */
export type ChildTask = { root: string; name: string; dieAt: number } & ({ files: Files } | { backupId: string });

const task: ChildTask = JSON.parse(process.argv[2] ?? '');
const workspaces = await openWorkspaces(task.root);
const steps: WorkspaceStep[] = [];
const options = {
  reason: 'rollout',
  onStep: (step: WorkspaceStep) => {
    steps.push(step);
    if (steps.length - 1 === task.dieAt) process.kill(process.pid, 'SIGKILL');
  },
};
if ('files' in task) await workspaces.applyRelease(task.name, releaseOf(task.files), options);
else await workspaces.restore(task.name, task.backupId, options);
process.stdout.write(JSON.stringify(steps));

import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Each version of Node, with each set of its flags, has a folder of its own in it. */
export const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/bellwether', import.meta.url));

/**
 * Keeps on the disk what Node makes of every module that is imported from now on, here and in threads: without types, and compiled. Every start but the
 * first takes a third of the time and 20 to 30 MB less. Not in the temporary folder, which is Node's default: whoever may write there would have their code
 * run here. A folder that cannot be written keeps nothing, and nothing else changes.
 */
export function keepCompiled(env: NodeJS.ProcessEnv): void {
  env.NODE_COMPILE_CACHE ??= COMPILE_CACHE;
  enableCompileCache(env.NODE_COMPILE_CACHE);
}

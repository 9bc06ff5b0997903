import { keepCompiled } from '../src/wire/compile-cache.ts';

keepCompiled(process.env);
const { runFromCommandLine } = await import('./run.ts');
await runFromCommandLine(process.argv.slice(2));

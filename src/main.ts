#!/usr/bin/env node
import { keepCompiled } from './wire/compile-cache.ts';

keepCompiled(process.env);
const { runCommandLine } = await import('./program.ts');
runCommandLine();

import { z } from '@hono/zod-openapi';
import { RolloutPolicy } from './policy.ts';

/** The policy as a named schema of OpenAPI. Only schemas built by that library can be named, and preparing revisions must not load it. */
export const PolicySchema = z.strictObject(RolloutPolicy.shape).openapi('RolloutPolicy');

import { z } from '@hono/zod-openapi';
import { RolloutPolicy } from './policy.ts';

/** The policy as the API's description names it. Made anew: only schemas made by that library can be named, and preparing revisions does without it. */
export const PolicySchema = z.strictObject(RolloutPolicy.shape).openapi('RolloutPolicy');

import { z } from 'zod';
import { integrationProblem } from '../../src/integration/problems.ts';
import { defineProvider, type Platform, type Provider, type PushTarget, type Verification } from '../../src/integration/provider.ts';
import type { Json } from '../../src/wire/text/json.ts';

type Step = 'prepare' | 'apply' | 'verify' | 'confirm' | 'cancel';
type Call = { step: Step; device: string; token?: string };

/** A platform whose answers a test scripts. It keeps what each device runs. */
export type ScriptedPlatform = {
  provider: Provider;
  /** Configuration of each device by its external id. */
  runs: Map<string, Json>;
  calls: Call[];
  /** Decides each step; undefined: it succeeds. An answer for `verify` is its verdict. */
  script: (call: Call) => Promise<Verification | undefined> | Verification | undefined;
  steps(device?: string): Step[];
};

/** @param execute runs commands; `outcome` of a command that was only sent is its second answer */
export function scriptPlatform(
  kind: string,
  execute?: NonNullable<Platform['execute']>,
  outcome?: NonNullable<Platform['outcome']>,
): ScriptedPlatform {
  const platform: ScriptedPlatform = {
    provider: undefined as never,
    runs: new Map(),
    calls: [],
    script: () => undefined,
    steps: (device) => platform.calls.filter((call) => device === undefined || call.device === device).map(({ step }) => step),
  };
  const call = (step: Step, { externalId }: PushTarget, token?: string) => {
    const made = { step, device: externalId, ...(token === undefined ? {} : { token }) };
    platform.calls.push(made);
    return platform.script(made);
  };
  const keep = (id: string, value: Json) => void (value === null ? platform.runs.delete(id) : platform.runs.set(id, value));
  platform.provider = defineProvider({
    kind,
    title: kind,
    settings: z.object({}),
    credentials: z.object({}),
    fields: {},
    views: {},
    document: { names: ['app.json'], schema: z.json() },
    defaultIntervalSeconds: 3600,
    abilities: {
      list: false,
      create: false,
      update: false,
      delete: false,
      push: 'verified',
      nativeConfirm: true,
      dryRun: false,
      execute: execute !== undefined,
      hook: false,
    },
    open: () => ({
      test: async () => ({ account: kind, devices: null, sample: [] }),
      ...(execute === undefined ? {} : { execute }),
      ...(outcome === undefined ? {} : { outcome }),
      push: {
        prepare: async (target, { document }) => {
          await call('prepare', target);
          if (document === undefined) throw integrationProblem('integration_rejected', 'Cannot push: no document');
          return { desired: document, previous: platform.runs.get(target.externalId) ?? null, isUnchanged: false };
        },
        apply: async (target, { desired }, token) => {
          await call('apply', target, token);
          keep(target.externalId, desired);
          return { token };
        },
        verify: async (target, _prepared, _receipt, token) => (await call('verify', target, token)) ?? { is: 'verified' },
        confirm: async (target) => void (await call('confirm', target)),
        cancel: async (target, { previous }) => {
          await call('cancel', target);
          keep(target.externalId, previous);
        },
      },
    }),
  });
  return platform;
}

import { z } from 'zod';
import { tokenText } from '../../../wire/text/secret-text.ts';
import { type Abilities, defineProvider } from '../../provider.ts';
import { fieldsFor } from './devices.ts';
import { openRest } from './platform.ts';
import { RestDocument, RestSettings } from './settings.ts';

const secret = tokenText({ min: 1, max: 8_192 }).optional();
/** By the way of authentication: `token`, or `user` and `password`. */
export const RestCredentials = z.strictObject({ token: secret, user: secret, password: secret });

/** All that a description may offer; an integration can do what its settings describe. */
export const REST_ABILITIES: Abilities = {
  ...{ list: true, create: true, update: true, delete: true, push: 'verified', nativeConfirm: false, dryRun: false },
  ...{ execute: true, hook: true },
};

/** Any platform with a JSON API, described in the integration's settings and not in code. */
export const rest = defineProvider({
  kind: 'rest',
  title: 'REST',
  settings: RestSettings,
  credentials: RestCredentials,
  fields: { name: { kind: 'scalar', writable: true, title: 'Name' } },
  fieldsFor,
  views: {},
  document: { names: ['rest.yaml', 'rest.yml', 'rest.json'], schema: RestDocument },
  defaultIntervalSeconds: 900,
  abilities: REST_ABILITIES,
  open: ({ settings: { baseUrl, ...description }, credentials, connect }) => openRest(baseUrl, description, credentials, connect),
});

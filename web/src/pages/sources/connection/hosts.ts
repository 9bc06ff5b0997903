/** The set-up of a webhook at a Git host: docs/webhooks.md in short. */
export type Host = {
  provider: string;
  title: string;
  /** The API of the host sets the webhook up. */
  installs: boolean;
  /** Permission of the token that sets it up. */
  token?: string;
  steps: readonly string[];
};

const GITEA_STEPS = [
  'Settings → Webhooks → Add webhook → Gitea. Target URL: the address above; method POST, type JSON.',
  'Secret: the secret of this source.',
  'Trigger on custom events: create, delete, push, pull request, pull request synchronized.',
];
const FORGEJO_STEPS = [GITEA_STEPS[0]?.replace('→ Gitea', '→ Forgejo') ?? '', ...GITEA_STEPS.slice(1)];

export const HOSTS: readonly Host[] = [
  {
    provider: 'gitlab',
    title: 'GitLab',
    installs: true,
    token: 'scope api, role Maintainer',
    steps: [
      'Settings → Webhooks → Add new webhook. URL: the address above.',
      'Secret token: the secret of this source.',
      'Triggers: push events, tag push events, merge request events.',
    ],
  },
  {
    provider: 'github',
    title: 'GitHub',
    installs: true,
    token: 'admin:repo_hook, or Webhooks read and write',
    steps: [
      'Settings → Webhooks → Add webhook. Payload URL: the address above; content type application/json.',
      'Secret: the secret of this source.',
      'Individual events: pushes and pull requests.',
    ],
  },
  {
    provider: 'gitea',
    title: 'Gitea',
    installs: true,
    token: 'write:repository, of an administrator of the repository',
    steps: GITEA_STEPS,
  },
  {
    provider: 'forgejo',
    title: 'Forgejo',
    installs: true,
    token: 'write:repository, of an administrator of the repository',
    steps: FORGEJO_STEPS,
  },
  {
    provider: 'bitbucket-cloud',
    title: 'Bitbucket Cloud',
    installs: false,
    steps: [
      'Repository settings → Webhooks → Add webhook. URL: the address above.',
      'Secret: the secret of this source.',
      'Trigger: repository push.',
    ],
  },
  {
    provider: 'bitbucket-data-center',
    title: 'Bitbucket Data Center',
    installs: false,
    steps: [
      'Repository settings → Webhooks → Create webhook. URL: the address above.',
      'Secret: the secret of this source.',
      'Event: repository push.',
    ],
  },
  {
    provider: 'azure-devops',
    title: 'Azure DevOps',
    installs: false,
    steps: [
      'Project settings → Service hooks → Create → Web Hooks, event “Code pushed”. URL: the address above.',
      'Basic authentication: user name and password; the secret of this source is “user:password”.',
    ],
  },
  {
    provider: 'generic',
    title: 'Another sender',
    installs: false,
    steps: [
      'POST {"ref":"main","after":"<commit>","repository_url":"…"} to the address above, for example from a CI job.',
      'Sign it by Standard Webhooks with the secret of this source (whsec_…).',
    ],
  },
];

export function hostOf(provider: string): Host | undefined {
  return HOSTS.find((host) => host.provider === provider);
}

/** A first guess from the address; the person chooses. */
export function guessHost(url: string): string {
  const name = URL.canParse(url) ? new URL(url).hostname : '';
  if (name.includes('github')) return 'github';
  if (name.includes('bitbucket')) return 'bitbucket-cloud';
  if (name.includes('azure') || name.includes('visualstudio')) return 'azure-devops';
  if (name.includes('gitea')) return 'gitea';
  if (name.includes('forgejo') || name === 'codeberg.org') return 'forgejo';
  return name.includes('gitlab') ? 'gitlab' : 'generic';
}

/** 32 random bytes as text: for a webhook's secret. Standard Webhooks wants its own form. */
export function newSecret(provider: string): string {
  const text = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
  return provider === 'generic' ? `whsec_${text}` : text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

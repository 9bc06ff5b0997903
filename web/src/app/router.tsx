import type { QueryClient } from '@tanstack/react-query';
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router';
import { lastEventQuery } from '../live/last-event.ts';
import { ActivitySearch } from '../pages/activity/search.ts';
import { DeviceSearch } from '../pages/device/search.ts';
import { DevicesSearch } from '../pages/devices/search.ts';
import { IntegrationSearch, IntegrationsSearch } from '../pages/integrations/search.ts';
import { LoginSearch } from '../pages/login/search.ts';
import { OverviewSearch } from '../pages/overview/search.ts';
import { RolloutSearch, RolloutsSearch } from '../pages/rollouts/search.ts';
import { SettingsSearch } from '../pages/settings/search.ts';
import { SourceSearch, SourcesSearch } from '../pages/sources/search.ts';
import { ErrorState } from '../ui/states.tsx';
import { basePath } from './base-path.ts';
import { NotFound } from './not-found.tsx';
import { meQuery } from './session.ts';
import { Shell } from './shell.tsx';

type Context = { client: QueryClient };

const root = createRootRouteWithContext<Context>()({ component: Outlet, notFoundComponent: NotFound });

/** All pages but the sign-in: whoever is not signed in goes there first, and comes back. */
const signedIn = createRoute({
  getParentRoute: () => root,
  id: 'signed-in',
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    const [me] = await Promise.all([context.client.ensureQueryData(meQuery), context.client.ensureQueryData(lastEventQuery)]);
    if (me === null) throw redirect({ to: '/login', search: location.href === '/' ? {} : { next: location.href } });
  },
});

const parent = () => signedIn;

const login = createRoute({
  getParentRoute: () => root,
  path: '/login',
  validateSearch: LoginSearch,
  component: lazyRouteComponent(() => import('../pages/login/page.tsx'), 'LoginPage'),
});
const overview = createRoute({
  getParentRoute: parent,
  path: '/',
  validateSearch: OverviewSearch,
  component: lazyRouteComponent(() => import('../pages/overview/page.tsx'), 'OverviewPage'),
});
const devices = createRoute({
  getParentRoute: parent,
  path: '/devices',
  validateSearch: DevicesSearch,
  component: lazyRouteComponent(() => import('../pages/devices/page.tsx'), 'DevicesPage'),
});
const device = createRoute({
  getParentRoute: parent,
  path: '/devices/$id',
  validateSearch: DeviceSearch,
  component: lazyRouteComponent(() => import('../pages/device/page.tsx'), 'DevicePage'),
});
const rollouts = createRoute({
  getParentRoute: parent,
  path: '/rollouts',
  validateSearch: RolloutsSearch,
  component: lazyRouteComponent(() => import('../pages/rollouts/page.tsx'), 'RolloutsPage'),
});
const rollout = createRoute({
  getParentRoute: parent,
  path: '/rollouts/$id',
  validateSearch: RolloutSearch,
  component: lazyRouteComponent(() => import('../pages/rollouts/rollout-page.tsx'), 'RolloutPage'),
});
const sources = createRoute({
  getParentRoute: parent,
  path: '/sources',
  validateSearch: SourcesSearch,
  component: lazyRouteComponent(() => import('../pages/sources/page.tsx'), 'SourcesPage'),
});
const source = createRoute({
  getParentRoute: parent,
  path: '/sources/$id',
  validateSearch: SourceSearch,
  component: lazyRouteComponent(() => import('../pages/sources/source-page.tsx'), 'SourcePage'),
});
const integrations = createRoute({
  getParentRoute: parent,
  path: '/integrations',
  validateSearch: IntegrationsSearch,
  component: lazyRouteComponent(() => import('../pages/integrations/page.tsx'), 'IntegrationsPage'),
});
const integration = createRoute({
  getParentRoute: parent,
  path: '/integrations/$id',
  validateSearch: IntegrationSearch,
  component: lazyRouteComponent(() => import('../pages/integrations/integration-page.tsx'), 'IntegrationPage'),
});
const activity = createRoute({
  getParentRoute: parent,
  path: '/activity',
  validateSearch: ActivitySearch,
  component: lazyRouteComponent(() => import('../pages/activity/page.tsx'), 'ActivityPage'),
});
const settings = createRoute({
  getParentRoute: parent,
  path: '/settings',
  validateSearch: SettingsSearch,
  component: lazyRouteComponent(() => import('../pages/settings/page.tsx'), 'SettingsPage'),
});

const routeTree = root.addChildren([
  login,
  signedIn.addChildren([overview, devices, device, rollouts, rollout, sources, source, integrations, integration, activity, settings]),
]);

export function createAppRouter(client: QueryClient) {
  return createRouter({
    routeTree,
    basepath: basePath || '/',
    context: { client },
    defaultPreload: 'intent',
    // TanStack Query decides what is fresh.
    defaultPreloadStaleTime: 0,
    scrollRestoration: true,
    defaultErrorComponent: ({ error, reset }) => (
      <ErrorState error={error instanceof Error ? error : new Error(String(error))} retry={reset} />
    ),
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}

import '@fontsource-variable/inter/index.css';
import '@radix-ui/themes/tokens/base.css';
import '@radix-ui/themes/tokens/colors/indigo.css';
import '@radix-ui/themes/tokens/colors/slate.css';
import '@radix-ui/themes/tokens/colors/green.css';
import '@radix-ui/themes/tokens/colors/red.css';
import '@radix-ui/themes/tokens/colors/amber.css';
import '@radix-ui/themes/tokens/colors/gray.css';
import '@radix-ui/themes/components.css';
import '@radix-ui/themes/utilities.css';
import './app/app.css';
import './pages/overview/overview.css';
import './pages/rollouts/rollouts.css';
import './pages/sources/sources.css';
import './pages/integrations/integrations.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { setNonce } from 'get-nonce';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createQueryClient } from './api/query.ts';
import { AppearanceProvider } from './app/appearance.tsx';
import { createAppRouter } from './app/router.tsx';

const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.nonce;
// Dialogs lock the page's scrolling by a style element, which the policy allows by this nonce alone.
if (nonce !== undefined) setNonce(nonce);

const client = createQueryClient();
const router = createAppRouter(client);

const root = document.getElementById('root');
if (root === null) throw new Error('Cannot start: the document has no element "root"');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <AppearanceProvider>
        <RouterProvider router={router} />
      </AppearanceProvider>
    </QueryClientProvider>
  </StrictMode>,
);

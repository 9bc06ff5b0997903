import { Button, Card, Flex, Heading, Separator, Text, TextField } from '@radix-ui/themes';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type FormEvent, useEffect, useState } from 'react';
import icon from '../../../icon.svg';
import { call, rememberCsrfToken } from '../../api/client.ts';
import { read } from '../../api/query.ts';
import { basePath } from '../../app/base-path.ts';
import { meQuery } from '../../app/session.ts';
import { ErrorState } from '../../ui/states.tsx';

/** Signs in by a token, by a one-time link (its code stands behind "#", where no log sees it), or by OIDC. */
export function LoginPage() {
  const { next, error: oidcError } = useSearch({ from: '/login' });
  const [token, setToken] = useState('');
  const { enter, error, isBusy } = useEnter(next);
  const { data: methods } = useQuery(read('GET /api/v1/login-methods', {}));
  useEffect(() => {
    document.title = 'Sign in · Bellwether';
    const code = new URLSearchParams(location.hash.slice(1)).get('code');
    if (code === null) return;
    history.replaceState(null, '', location.pathname + location.search);
    void enter({ code });
  }, [enter]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void enter({ token: token.trim() });
  };
  return (
    <Flex asChild align="center" justify="center" minHeight="100vh" p="4">
      <main>
        <Card size="4" style={{ width: 420, maxWidth: '100%' }}>
          <Flex direction="column" gap="4">
            <Flex align="center" gap="2">
              <img src={icon} width={28} height={28} alt="" />
              <Heading as="h1" size="5">
                Sign in to Bellwether
              </Heading>
            </Flex>
            <form onSubmit={submit}>
              <Flex direction="column" gap="3">
                <label htmlFor="token">
                  <Text as="div" size="2" weight="medium" mb="1">
                    API token
                  </Text>
                  <TextField.Root
                    id="token"
                    type="password"
                    autoComplete="current-password"
                    value={token}
                    onChange={(event) => setToken(event.target.value)}
                    placeholder="bwt_…"
                    autoFocus
                    required
                  />
                </label>
                <Text size="1" color="gray">
                  The first admin token stands in the file admin-token of the service's data folder.
                </Text>
                <Button type="submit" loading={isBusy}>
                  Sign in
                </Button>
              </Flex>
            </form>
            {methods?.oidc != null && (
              <>
                <Separator size="4" />
                <Button asChild variant="surface">
                  <a href={`${basePath}/login/oidc${next === undefined ? '' : `?next=${encodeURIComponent(next)}`}`}>
                    Sign in with {methods.oidc.name}
                  </a>
                </Button>
              </>
            )}
            {error !== undefined && <ErrorState error={error} />}
            {error === undefined && oidcError !== undefined && (
              <ErrorState error={new Error(methods?.oidc?.errors[oidcError] ?? 'The sign-in failed. Try again.')} />
            )}
          </Flex>
        </Card>
      </main>
    </Flex>
  );
}

type Proof = { token: string } | { code: string };

function useEnter(next: string | undefined) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [error, setError] = useState<Error>();
  const [isBusy, setBusy] = useState(false);
  const [enter] = useState(() => async (proof: Proof) => {
    setBusy(true);
    setError(undefined);
    try {
      const { csrfToken } = await call('POST /api/v1/session', { body: proof });
      rememberCsrfToken(csrfToken ?? undefined);
      client.clear();
      await client.ensureQueryData(meQuery);
      // Only a path of our own: an address from outside must not lead away.
      await navigate({ to: next?.startsWith('/') === true && !next.startsWith('//') ? next : '/' });
    } catch (failure) {
      setError(failure instanceof Error ? failure : new Error(String(failure)));
    } finally {
      setBusy(false);
    }
  });
  return { enter, error, isBusy };
}

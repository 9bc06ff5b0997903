import { ChoiceInput, TextInput } from '../../../ui/form/form.tsx';

/** `keep`: as it is stored. */
export type AuthKind = 'keep' | 'none' | 'token' | 'user';
export type AuthFields = { kind: AuthKind; token: string; username: string; password: string };

export const NO_AUTH: AuthFields = { kind: 'none', token: '', username: '', password: '' };

/** The value for the API; undefined: nothing changes. */
export function authOf({ kind, token, username, password }: AuthFields) {
  if (kind === 'keep') return undefined;
  if (kind === 'token') return { token };
  return kind === 'user' ? { username, password } : null;
}

const KINDS = [
  { value: 'none', label: 'None: everybody may read the repository' },
  { value: 'token', label: 'Access token' },
  { value: 'user', label: 'User and password' },
] as const;

type Props = { value: AuthFields; onChange: (value: AuthFields) => void; kept?: string | null };

export function Credentials({ value, onChange, kept }: Props) {
  const set = (change: Partial<AuthFields>) => onChange({ ...value, ...change });
  const options = kept == null ? KINDS : [{ value: 'keep', label: `Keep: ${kept}` } as const, ...KINDS];
  return (
    <>
      <ChoiceInput label="Credentials" name="auth" value={value.kind} onChange={(kind) => set({ kind })} options={options} />
      {value.kind === 'token' && (
        <TextInput
          label="Token"
          name="auth/token"
          type="password"
          required
          value={value.token}
          onChange={(token) => set({ token })}
          hint="A token of the Git host that may read the repository. It is stored encrypted and never shown."
        />
      )}
      {value.kind === 'user' && (
        <>
          <TextInput label="User" name="auth/username" required value={value.username} onChange={(username) => set({ username })} />
          <TextInput
            label="Password"
            name="auth/password"
            type="password"
            required
            value={value.password}
            onChange={(password) => set({ password })}
            hint="It is stored encrypted and never shown."
          />
        </>
      )}
    </>
  );
}

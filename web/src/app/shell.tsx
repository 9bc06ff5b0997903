import { Button, DropdownMenu, Flex, IconButton, Kbd, Text, Tooltip } from '@radix-ui/themes';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useNavigate } from '@tanstack/react-router';
import { CircleUser, Clock, Menu, Moon, Search, Sun } from 'lucide-react';
import { useState } from 'react';
import icon from '../../icon.svg';
import { LiveProvider } from '../live/live.tsx';
import { useAppearance } from './appearance.tsx';
import { CommandPalette } from './command-palette.tsx';
import { HelpDialog } from './help.tsx';
import { useChords } from './keyboard.ts';
import { LiveBadge } from './live-badge.tsx';
import { PLACES } from './navigation.ts';
import { meQuery, signOut } from './session.ts';

/** The frame of every page: places on the left, the state of the connection and the person above. */
export function Shell() {
  const [isMenuOpen, setMenuOpen] = useState(false);
  const [isPaletteOpen, setPaletteOpen] = useState(false);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const navigate = useNavigate();
  useChords({
    ...Object.fromEntries(PLACES.map(({ to, key }) => [`g ${key}`, () => void navigate({ to })])),
    '/': () => document.querySelector<HTMLInputElement>('main input[type=search]')?.focus(),
    '?': () => setHelpOpen(true),
    'mod+k': () => setPaletteOpen(true),
  });
  return (
    <LiveProvider>
      <SkipButton />
      <div className="shell" data-menu={isMenuOpen ? 'open' : 'closed'}>
        <Places onChosen={() => setMenuOpen(false)} />
        <div className="frame">
          <header className="topbar">
            <IconButton
              className="menu-button"
              variant="ghost"
              color="gray"
              aria-label="Menu"
              aria-expanded={isMenuOpen}
              onClick={() => setMenuOpen(!isMenuOpen)}
            >
              <Menu size={18} />
            </IconButton>
            <Button
              variant="surface"
              color="gray"
              onClick={() => setPaletteOpen(true)}
              className="palette-button"
              aria-label="Find or do anything ⌘K"
            >
              <Search size={14} /> <span>Find or do anything</span> <Kbd>⌘K</Kbd>
            </Button>
            <Flex gap="4" align="center" ml="auto">
              <LiveBadge />
              <AppearanceButtons />
              <Person />
            </Flex>
          </header>
          <main id="content" tabIndex={-1}>
            <Outlet />
          </main>
        </div>
      </div>
      <CommandPalette open={isPaletteOpen} onOpenChange={setPaletteOpen} onHelp={() => setHelpOpen(true)} />
      <HelpDialog open={isHelpOpen} onOpenChange={setHelpOpen} />
    </LiveProvider>
  );
}

/** A button: "#content" would be an address of the overview, because of the document's base. */
function SkipButton() {
  return (
    <button type="button" className="skip" onClick={() => document.getElementById('content')?.focus()}>
      Skip to the content
    </button>
  );
}

function Places({ onChosen }: { onChosen: () => void }) {
  return (
    <nav className="places" aria-label="Places">
      <Link to="/" className="brand" onClick={onChosen}>
        <img src={icon} width={22} height={22} alt="" /> Bellwether
      </Link>
      {PLACES.map(({ to, title, icon: Icon }) => (
        <Link
          key={to}
          to={to}
          className="place"
          activeOptions={{ exact: to === '/' }}
          activeProps={{ 'aria-current': 'page' }}
          onClick={onChosen}
        >
          <Icon size={16} aria-hidden /> {title}
        </Link>
      ))}
    </nav>
  );
}

function AppearanceButtons() {
  const { shown, timeZone, setScheme, setTimeZone } = useAppearance();
  const nextScheme = shown === 'dark' ? 'light' : 'dark';
  const nextZone = timeZone === 'utc' ? 'local' : 'utc';
  return (
    <>
      <Tooltip content={`Times are ${timeZone === 'utc' ? 'UTC' : 'local'}; show them ${nextZone === 'utc' ? 'in UTC' : 'in local time'}`}>
        <Button
          variant="ghost"
          color="gray"
          size="1"
          onClick={() => setTimeZone(nextZone)}
          aria-label={`${timeZone === 'utc' ? 'UTC' : 'Local'} times; show them in ${nextZone === 'utc' ? 'UTC' : 'local time'}`}
        >
          <Clock size={14} aria-hidden /> {timeZone === 'utc' ? 'UTC' : 'Local'}
        </Button>
      </Tooltip>
      <Tooltip content={`Use ${nextScheme} colours`}>
        <IconButton variant="ghost" color="gray" onClick={() => setScheme(nextScheme)} aria-label={`Use ${nextScheme} colours`}>
          {shown === 'dark' ? <Sun size={16} /> : <Moon size={16} />}
        </IconButton>
      </Tooltip>
    </>
  );
}

function Person() {
  const { data: me } = useQuery(meQuery);
  const client = useQueryClient();
  const navigate = useNavigate();
  if (me === undefined || me === null) return null;
  const leave = async () => {
    await signOut(client);
    await navigate({ to: '/login' });
  };
  return (
    <DropdownMenu.Root>
      <DropdownMenu.Trigger>
        <IconButton variant="ghost" color="gray" aria-label={`Signed in as ${me.name}`}>
          <CircleUser size={18} />
        </IconButton>
      </DropdownMenu.Trigger>
      <DropdownMenu.Content align="end">
        <DropdownMenu.Label>
          <Text size="2">
            {me.name} · {me.role} of {me.organization.name}
          </Text>
        </DropdownMenu.Label>
        <DropdownMenu.Separator />
        <DropdownMenu.Item asChild>
          <Link to="/settings">Settings</Link>
        </DropdownMenu.Item>
        <DropdownMenu.Item asChild>
          <a href="docs">API description</a>
        </DropdownMenu.Item>
        <DropdownMenu.Item onSelect={() => void leave()}>Sign out</DropdownMenu.Item>
      </DropdownMenu.Content>
    </DropdownMenu.Root>
  );
}

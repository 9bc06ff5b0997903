import { Activity, Boxes, GitBranch, LayoutDashboard, type LucideIcon, Plug, Settings, Waypoints } from 'lucide-react';

type Place = {
  to: '/' | '/devices' | '/rollouts' | '/sources' | '/integrations' | '/activity' | '/settings';
  title: string;
  icon: LucideIcon;
  key: string;
};

/** The places of the dashboard; `key` follows "g" on the keyboard. */
export const PLACES: readonly Place[] = [
  { to: '/', title: 'Overview', icon: LayoutDashboard, key: 'o' },
  { to: '/devices', title: 'Devices', icon: Boxes, key: 'd' },
  { to: '/rollouts', title: 'Rollouts', icon: Waypoints, key: 'r' },
  { to: '/sources', title: 'Sources', icon: GitBranch, key: 's' },
  { to: '/integrations', title: 'Integrations', icon: Plug, key: 'i' },
  { to: '/activity', title: 'Activity', icon: Activity, key: 'a' },
  { to: '/settings', title: 'Settings', icon: Settings, key: ',' },
];

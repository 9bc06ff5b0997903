import { type Command, Option } from 'commander';
import { ROLES } from '../../organization/organization.ts';
import { asItem, calling, showItem, type Terminal } from '../call.ts';

/** The link's code works once, so that the command prints nothing else beside it. */
export function registerLoginLink(link: Command, io: Terminal): void {
  link.addOption(new Option('--role <role>', 'role of the session, at most that of the token, which is the default').choices(ROLES));
  calling(link, io, async (call) => {
    const answer = await call.client.send('POST', '/session-links', { role: call.text('role') });
    if (call.json) showItem(call, answer);
    else call.io.out(`${String(asItem(answer)?.url)}\n`);
  });
}

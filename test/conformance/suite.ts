import { describe } from 'vitest';
import type { VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import { abilityFacts } from './abilities.ts';
import { commandFacts } from './commands.ts';
import { deviceFacts } from './devices.ts';
import { faultFacts } from './faults.ts';
import { listFacts } from './list.ts';
import { pushFacts } from './push.ts';
import type { Subject } from './subject.ts';

/**
 * States what every provider keeps, by the abilities that it names. Each provider runs it against its faithful server; its own test states only what
 * is special about the vendor.
 */
export function conformance<Server extends VendorServer>(name: string, subject: Subject<Server>): void {
  describe(`${name} keeps the contract of a provider`, () => {
    abilityFacts(subject);
    if (subject.provider.abilities.list) {
      listFacts(subject);
      faultFacts(subject);
    }
    deviceFacts(subject);
    commandFacts(subject);
    pushFacts(subject);
  });
}

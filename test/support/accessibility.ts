import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';

/**
 * What keeps people from using the page as it stands: axe's serious and critical findings, each with its elements.
 * @param rules the only ones that count, for a page that was checked before in other colours
 */
export async function seriousFindings(page: Page, rules?: string[]): Promise<string[]> {
  // All frames are the site's own, and a second page for the findings takes longer than the check.
  const builder = new AxeBuilder({ page }).setLegacyMode(true).options({ resultTypes: ['violations'] });
  const { violations } = await (rules === undefined ? builder : builder.withRules(rules)).analyze();
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' ')}`);
}

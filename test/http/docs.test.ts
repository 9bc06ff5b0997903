import { afterAll, beforeAll, expect, test } from 'vitest';
import { readOpenApi } from '../support/openapi.ts';
import { openService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
});
afterAll(() => service.close());

test("the page at /docs loads its parts from the service's own origin only, and its policy enforces that", async () => {
  const page = await fetch(`${service.url}/docs`);
  expect(page.status).toBe(200);
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  const policy = page.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
  const html = await page.text();
  const parts = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
  expect(parts).toEqual(expect.arrayContaining(['docs/app.js', 'docs/style.css', 'openapi.json']));
  for (const part of parts) expect((await fetch(new URL(part, `${service.url}/docs`))).status, part).toBe(200);
  // The policy would block inline scripts.
  expect(html).not.toMatch(/<script>|<style|\son\w+=|style="/);
});

test('the script is valid JavaScript and writes no markup', async () => {
  const answer = await fetch(`${service.url}/docs/app.js`);
  expect(answer.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  const script = await answer.text();
  expect(() => new Function(script)).not.toThrow();
  expect(script).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
});

test('every operation of the document has a tag, credentials and answers', async () => {
  const document = await readOpenApi(service.url);
  expect(document.openapi).toBe('3.1.0');
  expect(document.operations.length).toBeGreaterThan(40);
  for (const { path, method, operation } of document.operations) {
    const name = `${method} ${path}`;
    expect(operation.tags.length, name).toBeGreaterThan(0);
    expect(
      Object.keys(operation.responses).some((status) => status.startsWith('2')),
      name,
    ).toBe(true);
    if (operation.security?.length !== 0) expect(operation.responses['401'], name).toBeDefined();
    for (const need of operation.security ?? document.security)
      for (const scheme of Object.keys(need)) expect(document.components.securitySchemes[scheme], name).toBeDefined();
  }
});

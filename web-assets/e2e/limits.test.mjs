// Limits and usage, as whoever administers the platform has them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { findings, LOOKS, open, overflow, server, settled, shot, signIn, skip } from './browser.mjs';

if (skip) console.log(`skipped: the page's end-to-end tests of limits, for ${skip}`);

let browser, page, faults;

before(async () => {
  if (!skip) ({ browser, page, faults } = await open());
});
after(() => browser?.close());

/** A step; what must never happen is looked for after each. */
function step(name, run) {
  test(name, { skip: skip !== false, timeout: 60_000 }, async () => {
    try {
      await run();
    } catch (error) {
      await shot(page, `failed-${name.replace(/\W+/g, '-')}`);
      throw error;
    }
    assert.deepEqual(faults, []);
  });
}

const goto = async (path) => {
  await page.goto(server.url + path);
  await settled(page);
};

step('usage is shown beside its limits', async () => {
  await page.goto(`${server.url}/?tenant=${server.tenant}`);
  await page.waitForSelector('input[name=tenant]');
  await signIn(page);
  await page.waitForSelector('#main');
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.getByRole('link', { name: 'Limits' }).click();
  await page.getByRole('meter', { name: 'Live connections' }).waitFor();
  await page.getByText(/answers, half within/).waitFor();
});

step('a limit is set, refused where it cannot be, and taken back', async () => {
  await page.fill('input[name=query_time_ms]', '0.001');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('input[name=query_time_ms][aria-invalid=true]').waitFor();
  assert.deepEqual(await findings(page), []);
  await page.fill('input[name=query_time_ms]', '12.5');
  await page.fill('input[name=websocket_connections]', '4321');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('It is saved, and holds.').waitFor();
  await page.getByText('of 4,321').waitFor();
  await goto('/limits');
  assert.equal(await page.inputValue('input[name=query_time_ms]'), '12.5');
  await shot(page, 'limits-set');
  for (const name of ['query_time_ms', 'websocket_connections']) await page.fill(`input[name=${name}]`, '');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('It is saved, and holds.').waitFor();
});

for (const [look, [width, colorScheme]] of Object.entries(LOOKS)) {
  step(`limits can be read by everybody: ${look}`, async () => {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await goto('/limits');
    await shot(page, `limits-${look}`);
    assert.deepEqual(await findings(page), []);
    assert.equal(await overflow(page), 0);
  });
}

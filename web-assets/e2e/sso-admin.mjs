// Connects identity providers as an administrator does, in a browser, and tries them:
//
//   node e2e/sso-admin.mjs ISSUER CLIENT_ID CLIENT_SECRET METADATA_FILE
//
// ISSUER is a real OpenID provider. `REDIRECT <uri>` is printed once it is connected; a line is awaited that says
// that the provider knows the client. At the end `DONE` is printed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { findings, LOOKS, open, overflow, server, settled, shot, signIn } from './browser.mjs';

const [issuer, client, secret, metadataFile] = process.argv.slice(2);
const { browser, page, faults } = await open();
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const drawer = page.getByRole('dialog').first();
const press = (name) => drawer.getByRole('button', { name, exact: true }).click();
const choose = (template) => page.selectOption('select[name=template]', { label: template });
const clean = async (name) => {
  await shot(page, name);
  assert.deepEqual(await findings(page), [], name);
};

async function goto(path) {
  await page.goto(server.url + path);
  await settled(page);
}

/** Tries what is open: each step's name, and whether it passed. */
async function tried(words) {
  await press('Test it');
  await drawer.getByText(words).waitFor();
  const steps = await drawer.locator('ol li').all();
  return Promise.all(steps.map(async (step) => [
    await step.locator('.name').textContent(),
    (await step.getByText('passed').count()) === 1,
  ]));
}

async function connectOidc() {
  await page.getByRole('link', { name: 'Connect a provider' }).click();
  await choose('Another OpenID provider');
  await page.fill('input[name=provider-name]', 'Corporate');
  await page.fill('input[name=realm]', 'https://127.0.0.1:1/?x');
  await page.fill('input[name=client-id]', client);
  await page.fill('input[name=client-secret]', secret);
  await press('Connect');
  // What the server finds wrong is said at the field.
  await page.locator('input[name=realm][aria-invalid=true]').waitFor();
  await clean('sso-refused');
  await page.fill('input[name=realm]', issuer);
  await press('Add a group');
  await page.fill('input[name=group]', 'ops');
  await page.selectOption('select[name=group-role]', 'admin');
  await clean('sso-new');
  await press('Connect');
  const redirect = await drawer.getByRole('region', { name: 'Redirect URI' }).textContent();
  console.log(`REDIRECT ${redirect.trim()}`);
  await lines.next();
}

async function tryOidc() {
  const names = ['issuer', 'discovery', 'endpoints', 'keys', 'credentials'];
  assert.deepEqual(await tried('Every step went well.'), names.map((name) => [name, true]));
  await clean('sso-tested');
  for (const [look, [width, colorScheme]] of Object.entries(LOOKS)) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await clean(`sso-tested-${look}`);
    assert.equal(await overflow(page), 0, look);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.fill('input[name=client-secret]', 'another secret');
  await press('Save');
  await drawer.getByText('It is saved.').waitFor();
  const last = (await tried('A sign-in would fail.')).at(-1);
  assert.deepEqual(last, ['credentials', false]);
  await clean('sso-failed');
  assert.equal(await page.inputValue('input[name=client-secret]'), '');
  assert.equal(await page.inputValue('input[name=group]'), 'ops');
}

async function connectSaml() {
  await goto('/sign-in?open=new');
  await choose('Another SAML provider');
  await page.fill('input[name=provider-name]', 'By SAML');
  await page.fill('textarea[name=metadata]', '<nonsense/>');
  await press('Connect');
  await page.locator('textarea[name=metadata][aria-invalid=true]').waitFor();
  await page.fill('textarea[name=metadata]', readFileSync(metadataFile, 'utf8'));
  await press('Connect');
  await drawer.getByRole('region', { name: 'Assertion consumer service (ACS) URL' }).waitFor();
  assert.deepEqual(await tried('Every step went well.'), ['configuration', 'certificate dates', 'request'].map((name) => [name, true]));
  await drawer.getByText('Explain a response').click();
  await page.fill('textarea[name=saml-response]', '<nonsense/>');
  await press('Explain it');
  await drawer.getByText('A sign-in would fail.').waitFor();
  await clean('sso-explained');
}

async function remove(name) {
  await goto('/sign-in');
  await page.getByRole('link', { name }).click();
  await press('Remove');
  await page.getByRole('dialog').last().getByRole('button', { name: 'Remove', exact: true }).click();
  await drawer.waitFor({ state: 'detached' });
  await page.getByRole('rowheader', { name }).waitFor({ state: 'detached' });
}

try {
  await page.goto(`${server.url}/?tenant=${server.tenant}`);
  await page.waitForSelector('input[name=tenant]');
  await signIn(page);
  await page.waitForSelector('#main');
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.getByRole('link', { name: 'Sign-in' }).click();
  await page.getByText('No provider is connected.').waitFor();
  await connectOidc();
  await tryOidc();
  await connectSaml();
  await goto('/sign-in');
  await clean('sso-list');
  await remove('Corporate');
  await remove('By SAML');
  await page.getByText('No provider is connected.').waitFor();
  assert.deepEqual(faults, []);
  console.log('DONE');
} catch (error) {
  await shot(page, 'failed-sso-admin');
  throw error;
} finally {
  await browser.close();
  process.stdin.destroy();
}

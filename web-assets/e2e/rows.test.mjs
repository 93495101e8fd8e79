// Row policies: set by an owner, and seen by whom they are about. Leaves the policy as every tenant begins.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { findings, LOOKS, open, overflow, server, settled, shot, signIn, skip } from './browser.mjs';

if (skip) console.log(`skipped: the page's end-to-end tests of row policies, for ${skip}`);

const manager = `manager-${Date.now().toString(36)}@example.org`;
const PASSWORD = 'another fine day';

/** The owner's browser, and the one of a manager. */
let owner, guest, token;

before(async () => {
  if (!skip) [owner, guest] = [await open(), await open()];
});
after(() => Promise.all([owner, guest].map((one) => one?.browser.close())));

/** A step; what must never happen is looked for after each. */
function step(name, run) {
  test(name, { skip: skip !== false, timeout: 60_000 }, async () => {
    try {
      await run(owner.page, guest.page);
    } catch (error) {
      const name_ = name.replace(/\W+/g, '-');
      await shot(owner.page, `failed-${name_}`);
      await shot(guest.page, `failed-${name_}-guest`);
      throw error;
    }
    assert.deepEqual([...owner.faults, ...guest.faults], []);
  });
}

const goto = async (page, path) => {
  await page.goto(server.url + path);
  await settled(page);
};
const policyForm = (page) => page.getByRole('form', { name: 'Row policy', exact: true });
const preset = (page, name, pressed) => policyForm(page).getByRole('button', { name, pressed });

/** Asks the API, as its owner does beside the page. */
async function api(method, path, data) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await owner.context.request.fetch(`${server.url}/api/v1${path}`, { method, headers, data });
  assert.ok(answer.ok(), `${method} ${path}: ${answer.status()}`);
  return answer.json();
}
const setPreset = (name) => api('PUT', `/tenants/${server.tenant}/row-policy`, { preset: name });

step('an owner chooses what each role sees, which is said in words', async (page) => {
  await page.goto(`${server.url}/?tenant=${server.tenant}`);
  await page.waitForSelector('input[name=tenant]');
  await signIn(page);
  await page.waitForSelector('#main');
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.getByRole('link', { name: 'This tenant' }).click();
  const form = policyForm(page);
  await preset(page, /^Open/, true).waitFor();
  await form.getByText('Members see every row; aggregates over everything.').waitFor();
  await preset(page, /^Strict/, false).click();
  await form.getByText('Viewers see no rows; aggregates over everything.').waitFor();
  await form.getByText('Members see their own rows; aggregates over everything.').waitFor();
  await form.getByText('Managers see their own rows and those of their teams; aggregates over the same rows.').waitFor();
  await shot(page, 'rows-strict');
  assert.deepEqual(await findings(page), []);
  const members = form.getByRole('group', { name: 'Members', exact: true });
  await members.getByLabel('Aggregates over', { exact: true }).selectOption('same');
  await form.getByText('As chosen below.').waitFor();
  assert.equal(await form.getByRole('button', { pressed: true }).count(), 0);
  await form.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('It is saved, and holds.').waitFor();
  await goto(page, '/tenant');
  const cells = await form.locator('select').evaluateAll((all) => all.map(({ name, value }) => `${name} ${value}`));
  assert.deepEqual(cells, [
    'viewer-rows none',
    'viewer-aggregates all',
    'member-rows own',
    'member-aggregates same',
    'manager-rows teams',
    'manager-aggregates same',
  ]);
});

step('two who change it are told', async (page) => {
  const { tenant, email, password } = server;
  token = (await api('POST', '/auth/login', { tenant, email, password, cookie: false })).access_token;
  await setPreset('strict');
  const form = policyForm(page);
  await preset(page, /^Open/, false).click();
  await form.getByRole('button', { name: 'Save', exact: true }).click();
  await form.getByRole('alert').getByText('changed since you looked').waitFor();
  await shot(page, 'rows-stale');
  assert.deepEqual(await findings(page), []);
  await form.getByRole('button', { name: 'Show what it is now', exact: true }).click();
  await preset(page, /^Strict/, true).waitFor();
  assert.equal((await api('GET', `/tenants/${tenant}/row-policy`)).preset, 'strict');
});

step('a manager reads it, changes nothing, and sees what it lets them see', async (_, page) => {
  const { link } = await api('POST', '/users/invite', { email: manager, role: 'manager' });
  await api('POST', '/auth/accept', {
    token: new URLSearchParams(new URL(link).hash.slice(1)).get('token'),
    password: PASSWORD,
  });
  await page.goto(`${server.url}/?tenant=${server.tenant}`);
  await page.waitForSelector('input[name=tenant]');
  await signIn(page, PASSWORD, manager);
  await page.waitForSelector('#main');
  await goto(page, '/tenant');
  const panel = page.getByRole('region', { name: 'Row policy', exact: true });
  await panel.getByText('Managers see their own rows and those of their teams; aggregates over the same rows.').waitFor();
  await panel.getByText('That is strict').waitFor();
  assert.equal(await page.getByRole('form').count(), 0);
  assert.equal(await page.getByRole('button', { name: 'Save' }).count(), 0);
  await shot(page, 'rows-read');
  assert.deepEqual(await findings(page), []);
  // Who is reported as nobody and in no team has no rows.
  await goto(page, '/runs?range=7d');
  await page.getByText('Nothing ran in this range.').waitFor();
  await setPreset('open');
  await goto(page, '/runs?range=7d');
  await page.locator('tbody tr').first().waitFor();
});

for (const [look, [width, colorScheme]] of Object.entries(LOOKS)) {
  step(`the tenant can be read by everybody: ${look}`, async (page, other) => {
    for (const [who, one] of Object.entries({ owner: page, manager: other })) {
      await one.setViewportSize({ width, height: 900 });
      await one.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await goto(one, '/tenant');
      await shot(one, `rows-${who}-${look}`);
      assert.deepEqual(await findings(one), [], who);
      assert.equal(await overflow(one), 0, who);
    }
  });
}

// Tenants, from whoever administers the platform and from the owner of a new one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { findings, LOOKS, open, overflow, server, settled, shot, signIn, skip } from './browser.mjs';

if (skip) console.log(`skipped: the page's end-to-end tests of tenants, for ${skip}`);

const slug = `t-${Date.now().toString(36)}`;
const owner = `owner@${slug}.example`;

let admin, guest, password;

before(async () => {
  if (!skip) [admin, guest] = [await open(), await open()];
});
after(() => Promise.all([admin, guest].map((one) => one?.browser.close())));

/** A step; what must never happen is looked for after each. */
function step(name, run) {
  test(name, { skip: skip !== false, timeout: 60_000 }, async () => {
    try {
      await run(admin.page, guest.page);
    } catch (error) {
      await shot(admin.page, `failed-${name.replace(/\W+/g, '-')}`);
      throw error;
    }
    assert.deepEqual([...admin.faults, ...guest.faults], []);
  });
}

const goto = async (page, path) => {
  await page.goto(server.url + path);
  await settled(page);
};
const confirm = (page, name) => page.getByRole('dialog').last().getByRole('button', { name, exact: true }).click();

async function enter(page) {
  await page.goto(`${server.url}/?tenant=${slug}`);
  await page.waitForSelector('input[name=tenant]');
  await page.fill('input[name=email]', owner);
  await page.fill('input[name=password]', password);
  await page.click('button[type=submit]');
}

step('a tenant is made, and the password of its owner is shown once', async (page) => {
  await page.goto(`${server.url}/?tenant=${server.tenant}`);
  await page.waitForSelector('input[name=tenant]');
  await signIn(page);
  await page.waitForSelector('#main');
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.getByRole('link', { name: 'Tenants' }).click();
  await page.getByRole('link', { name: 'Create a tenant' }).click();
  await page.fill('input[name=slug]', 'Not a name');
  await page.fill('input[name=admin-email]', owner);
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.locator('input[name=slug][aria-invalid=true]').waitFor();
  assert.deepEqual(await findings(page), []);
  await page.fill('input[name=slug]', slug);
  await page.fill('input[name=display-name]', 'The new one');
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  password = (await page.getByRole('region', { name: 'The password', exact: true }).textContent()).trim();
  assert.ok(password.length >= 12);
  await shot(page, 'tenants-made');
  assert.deepEqual(await findings(page), []);
  await page.getByRole('button', { name: 'I have copied it' }).click();
  await page.getByRole('row').filter({ hasText: slug }).getByText('The new one').waitFor();
  assert.ok(!(await page.content()).includes(password));
});

step('its owner enters it, and sees no other', async (_, page) => {
  await enter(page);
  await page.getByRole('heading', { name: 'Report a first run' }).waitFor();
  await goto(page, '/tenants');
  await page.getByRole('heading', { name: 'Your role may not see this' }).waitFor();
});

step('its owner says what its log tells, and what it is called', async (_, page) => {
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.getByRole('link', { name: 'This tenant' }).click();
  const form = page.getByRole('form', { name: 'The tenant', exact: true });
  const questions = form.getByRole('checkbox', { name: 'Questions in the audit log', exact: true });
  await form.getByText('Each question is told with its text').waitFor();
  assert.ok(!(await questions.isChecked()));
  await questions.check();
  await page.fill('input[name=display-name]', 'The newest one');
  await form.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('It is saved.').waitFor();
  await goto(page, '/tenant');
  assert.ok(await questions.isChecked());
  assert.equal(await page.inputValue('input[name=display-name]'), 'The newest one');
  await shot(page, 'tenants-own');
  assert.deepEqual(await findings(page), []);
});

step('what is open of it fits every window, and is closed from everywhere', async (page) => {
  await goto(page, `/tenants?open=${slug}`);
  const drawer = page.getByRole('dialog', { name: 'The newest one', exact: true });
  await drawer.getByRole('form', { name: 'The tenant', exact: true }).waitFor();
  await drawer.getByRole('form', { name: 'Row policy', exact: true }).waitFor();
  await drawer.getByRole('form', { name: 'Limits', exact: true }).waitFor();
  for (const [look, [width, colorScheme]] of Object.entries(LOOKS)) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await drawer.evaluate((dialog) => dialog.scrollTo(0, 0));
    await shot(page, `tenants-drawer-${look}`);
    assert.deepEqual(await findings(page), [], look);
    assert.equal(await drawer.evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth), 0, look);
    await drawer.evaluate((dialog) => dialog.scrollTo(0, dialog.scrollHeight));
    await shot(page, `tenants-drawer-end-${look}`);
    const { x, y } = await drawer.getByRole('button', { name: 'Close', exact: true }).boundingBox();
    assert.ok(x > 0 && x < width && y >= 0 && y < 100, `${look}: ${x} ${y}`);
  }
  await drawer.getByRole('button', { name: 'Close', exact: true }).click();
  await drawer.waitFor({ state: 'detached' });
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: null });
});

step('it is suspended, which ends what is open, and resumed', async (page, other) => {
  await page.getByRole('link', { name: slug }).click();
  const drawer = page.getByRole('dialog').first();
  await drawer.getByRole('button', { name: 'Suspend', exact: true }).click();
  await confirm(page, 'Suspend');
  await drawer.getByText('Nobody enters it any more.').waitFor();
  await shot(page, 'tenants-suspended');
  assert.deepEqual(await findings(page), []);
  await other.goto(server.url);
  await other.waitForSelector('input[name=password]');
  await drawer.getByRole('button', { name: 'Resume', exact: true }).click();
  await drawer.getByText('It can be entered again.').waitFor();
  // The sessions of before are good again.
  await other.goto(server.url);
  await other.waitForSelector('#main');
});

step('it is deleted by whoever writes its name', async (page, other) => {
  const drawer = page.getByRole('dialog').first();
  const ask = page.getByRole('dialog').last();
  await drawer.getByRole('button', { name: 'Delete', exact: true }).click();
  const really = ask.getByRole('button', { name: 'Delete', exact: true });
  assert.ok(await really.isDisabled());
  await ask.getByRole('textbox').fill(slug.slice(1));
  assert.ok(await really.isDisabled());
  assert.deepEqual(await findings(page), []);
  await ask.getByRole('textbox').fill(slug);
  await shot(page, 'tenants-delete');
  await really.click();
  await page.getByRole('rowheader', { name: slug }).waitFor({ state: 'detached' });
  await other.goto(server.url);
  await other.waitForSelector('input[name=password]');
});

step('nobody suspends or deletes the tenant that they are in', async (page) => {
  await goto(page, `/tenants?open=${server.tenant}`);
  await page.getByText('You are signed in to this tenant').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Delete' }).count(), 0);
});

for (const [look, [width, colorScheme]] of Object.entries(LOOKS)) {
  step(`tenants can be read by everybody: ${look}`, async (page) => {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [view, path] of Object.entries({ tenants: '/tenants', new: '/tenants?open=new' })) {
      await goto(page, path);
      await shot(page, `tenants-${view}-${look}`);
      assert.deepEqual(await findings(page), [], view);
      assert.equal(await overflow(page), 0, view);
    }
  });
}

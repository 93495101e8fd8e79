// Administration from an administrator's view and from that of whoever is administered. Runs before the visit of
// `page.test.mjs`, with people of its own.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { findings, LOOKS, open, overflow, server, settled, shot, signIn, skip } from './browser.mjs';
import { codeFor } from './codes.mjs';

if (skip) console.log(`skipped: the page's end-to-end tests of administration, for ${skip}`);

const stamp = Date.now().toString(36);
const ada = `ada-${stamp}@example.org`;
const team = `Team ${stamp}`;
const PASSWORD = 'another fine day';
const OTHER_PASSWORD = 'yet another fine night';

/** The administrator's browser, and the one of whoever is invited. */
let admin, guest, link, secret, codes;

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
      const name_ = name.replace(/\W+/g, '-');
      await shot(admin.page, `failed-${name_}`);
      await shot(guest.page, `failed-${name_}-guest`);
      throw error;
    }
    assert.deepEqual([...admin.faults, ...guest.faults], []);
  });
}

const goto = async (page, path) => {
  await page.goto(server.url + path);
  await settled(page);
};
const row = (page, name) => page.getByRole('row').filter({ has: page.getByRole('rowheader', { name }) });
const confirm = (page, name) => page.getByRole('dialog').last().getByRole('button', { name, exact: true }).click();
const region = async (page, name) => (await page.getByRole('region', { name, exact: true }).textContent()).trim();
const enter = (page, password) => signIn(page, password, ada);

step('an administrator makes a team', async (page) => {
  await page.goto(`${server.url}/?tenant=${server.tenant}`);
  await page.waitForSelector('input[name=tenant]');
  await signIn(page);
  await page.waitForSelector('#main');
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.getByRole('link', { name: 'Teams' }).click();
  await page.getByRole('link', { name: 'Create a team' }).click();
  await page.fill('input[name=team-name]', team);
  await page.fill('textarea[name=reported-as]', `team-${stamp}\nold-${stamp}`);
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByText('Nobody is in this team yet.').waitFor();
  await page.keyboard.press('Escape');
  await row(page, team).getByText(`old-${stamp}, team-${stamp}`).waitFor();
  await page.getByRole('link', { name: 'Create a team' }).click();
  await page.fill('input[name=team-name]', team);
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByRole('dialog').getByRole('alert').waitFor();
  assert.deepEqual(await findings(page), []);
});

step('and invites somebody, by a link that is shown once', async (page) => {
  await goto(page, '/users?open=new');
  await page.fill('input[name=email]', 'ada@');
  await page.selectOption('select[name=role]', 'member');
  await page.evaluate(() => (document.querySelector('input[name=email]').type = 'text'));
  await page.getByRole('button', { name: 'Invite', exact: true }).click();
  // What the server finds wrong is said at the field, where the focus is.
  await page.locator('input[name=email][aria-invalid=true]').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.name), 'email');
  assert.deepEqual(await findings(page), []);
  await page.fill('input[name=email]', ada);
  await page.getByRole('checkbox', { name: team }).check();
  await page.getByRole('button', { name: 'Invite', exact: true }).click();
  link = new URL(await region(page, 'The link'));
  assert.match(link.href, /\/accept#token=eml_/);
  await shot(page, 'users-invited');
  assert.deepEqual(await findings(page), []);
  await page.getByRole('button', { name: 'I have copied it' }).click();
  await row(page, ada).getByText('no password').waitFor();
  assert.doesNotMatch(await page.content(), /eml_/);
});

step('who was invited signs in, and sees what a member may', async (_, page) => {
  await page.goto(server.url + link.pathname + link.hash);
  await page.fill('input[name=password]', PASSWORD);
  await page.fill('input[name=again]', PASSWORD);
  await page.click('button[type=submit]');
  await page.getByRole('link', { name: 'Go to sign-in' }).click();
  await page.waitForSelector('input[name=tenant]');
  await enter(page, PASSWORD);
  await page.waitForSelector('#main');
  const ways = await page.getByRole('navigation', { name: 'Views' }).getByRole('link').allTextContents();
  assert.deepEqual(ways, ['Overview', 'Runs', 'Quarantine']);
  for (const path of ['/users', '/keys', '/audit']) {
    await goto(page, path);
    await page.getByRole('heading', { name: 'Your role may not see this' }).waitFor();
  }
});

step('a second factor is set up, and its recovery codes are shown once', async (_, page) => {
  await page.getByRole('button', { name: /^Account/ }).click();
  await page.getByRole('link', { name: 'Your account' }).click();
  await page.getByRole('button', { name: 'Set up', exact: true }).click();
  const image = page.getByRole('img', { name: /^QR code/ });
  await image.waitFor();
  assert.ok(await image.evaluate((img) => img.complete && img.naturalWidth > 0), 'the QR code is drawn');
  await page.getByText('Without a camera').click();
  secret = await region(page, 'The key for the app');
  await shot(page, 'account-enrol');
  assert.deepEqual(await findings(page), []);
  await page.fill('input[name=otp]', '000000');
  await page.getByRole('button', { name: 'Set up', exact: true }).click();
  await page.getByRole('alert').filter({ hasText: 'code is not right' }).waitFor();
  await page.fill('input[name=otp]', codeFor(secret, Date.now()));
  await page.getByRole('button', { name: 'Set up', exact: true }).click();
  codes = (await region(page, 'The codes')).split('\n');
  assert.ok(codes.length >= 8, `${codes.length} codes`);
  await shot(page, 'account-codes');
  assert.deepEqual(await findings(page), []);
  await page.getByRole('button', { name: 'I have copied it' }).click();
  await page.getByText('It is set up').waitFor();
  assert.doesNotMatch(await page.content(), new RegExp(codes[0]));
});

step('and is asked for from then on; a recovery code does too', async (_, page) => {
  await page.getByRole('button', { name: /^Account/ }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForSelector('input[name=password]');
  await enter(page, PASSWORD);
  await page.getByRole('heading', { name: 'Second factor' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.name), 'otp');
  await shot(page, 'sign-in-code');
  assert.deepEqual(await findings(page), []);
  await page.fill('input[name=otp]', '000000');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'code is not right' }).waitFor();
  await page.fill('input[name=otp]', codes[0]);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#main');
  await goto(page, '/account');
  await page.getByText(`${codes.length - 1} recovery codes are left`).waitFor();
});

step('a password is changed, and a wrong one is said in place', async (_, page) => {
  const change = async (current, chosen, again = chosen) => {
    await page.fill('input[name=current-password]', current);
    await page.fill('input[name=new-password]', chosen);
    await page.fill('input[name=again]', again);
    await page.getByRole('button', { name: 'Change the password' }).click();
  };
  await change('not my password', OTHER_PASSWORD);
  await page.getByText('This is not your password.').waitFor();
  await change(PASSWORD, OTHER_PASSWORD, 'something else');
  await page.getByText('The two passwords differ.').waitFor();
  await change(PASSWORD, 'password123');
  await page.getByRole('alert').filter({ hasText: 'easy to guess' }).waitFor();
  assert.deepEqual(await findings(page), []);
  await change(PASSWORD, OTHER_PASSWORD);
  await page.getByText('Your password is changed').waitFor();
});

step('a session is seen and ended', async (page, other) => {
  await goto(page, '/users');
  await page.getByRole('link', { name: ada }).click();
  await page.getByRole('dialog').getByText('127.0.0.1').first().waitFor();
  await page.getByRole('dialog').getByRole('button', { name: /^End the session with/ }).last().click();
  await confirm(page, 'End it');
  await page.getByText('There is no session.').waitFor();
  await other.goto(server.url);
  await other.waitForSelector('input[name=password]');
});

step('a user is changed, and two who change the same are told', async (page) => {
  await goto(page, '/users');
  await page.getByRole('link', { name: ada }).click();
  const role = page.locator('select[name=role]');
  await role.waitFor();
  const { access_token } = await (
    await admin.context.request.post(`${server.url}/api/v1/auth/login`, { data: { ...pick(server), cookie: false } })
  ).json();
  const id = new URL(page.url()).searchParams.get('open');
  const changed = await admin.context.request.patch(`${server.url}/api/v1/users/${id}`, {
    headers: { Authorization: `Bearer ${access_token}` },
    data: { reported_as: [`ada-${stamp}`] },
  });
  assert.equal(changed.status(), 200);
  await role.selectOption('manager');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').getByText('changed since you looked').waitFor();
  await shot(page, 'users-stale');
  await page.getByRole('button', { name: 'Show what it is now' }).click();
  await page.waitForFunction(
    (name) => document.querySelector('textarea[name=reported-as]')?.value === name,
    `ada-${stamp}`,
  );
  await role.selectOption('manager');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('It is saved.').waitFor();
  await shot(page, 'users-open');
  assert.deepEqual(await findings(page), []);
  await page.keyboard.press('Escape');
  await row(page, ada).getByText('manager').waitFor();
});

step('a manager sees users and roles, and changes nothing', async (_, page) => {
  await enter(page, OTHER_PASSWORD);
  await page.fill('input[name=otp]', codes[1]);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#main');
  await page.getByRole('link', { name: 'Administration' }).click();
  await settled(page);
  const ways = await page.getByRole('navigation', { name: 'Administration' }).getByRole('link').allTextContents();
  assert.deepEqual(ways.slice(0, 3), ['Users', 'Teams', 'Roles']);
  assert.ok(!ways.includes('API keys') && !ways.includes('Audit'), String(ways));
  assert.equal(await page.getByRole('link', { name: 'Invite a user' }).count(), 0);
  await page.getByRole('link', { name: ada }).click();
  await page.getByRole('dialog').getByText(team).waitFor();
  assert.equal(await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).count(), 0);
  await goto(page, '/roles');
  await row(page, 'Read the audit log').getByText('yes').first().waitFor({ state: 'attached' });
  assert.deepEqual(await findings(page), []);
});

step('members come and go', async (page) => {
  await goto(page, '/teams');
  await page.getByRole('link', { name: team }).click();
  const drawer = page.getByRole('dialog', { name: team, exact: true });
  await drawer.getByRole('button', { name: `Take out ${ada}` }).click();
  await drawer.getByText('Nobody is in this team yet.').waitFor();
  await drawer.getByLabel('User').selectOption({ label: ada });
  await drawer.getByRole('button', { name: 'Add' }).click();
  await drawer.getByRole('rowheader', { name: ada }).waitFor();
  await shot(page, 'teams-open');
  assert.deepEqual(await findings(page), []);
  await drawer.getByRole('button', { name: 'Remove', exact: true }).click();
  await confirm(page, 'Remove');
  await drawer.waitFor({ state: 'detached' });
  await row(page, team).waitFor({ state: 'detached' });
});

step('a second factor is demanded of everybody, or of nobody', async (page) => {
  await goto(page, '/sign-in');
  await page.getByRole('button', { name: 'Demand a second factor' }).click();
  await confirm(page, 'Demand a second factor');
  // Not by somebody who has none.
  await page.getByRole('alert').waitFor();
  await page.getByText('and need not').waitFor();
  await shot(page, 'sign-in-rules');
  assert.deepEqual(await findings(page), []);
});

step('who has none sets one up where it is demanded, and is let in then', async (page, other) => {
  await goto(page, '/users');
  await page.getByRole('link', { name: ada }).click();
  await page.locator('select[name=role]').selectOption('owner');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('It is saved.').waitFor();
  await other.goto(server.url);
  await other.waitForSelector('input[name=tenant]');
  await enter(other, OTHER_PASSWORD);
  await other.fill('input[name=otp]', codes[2]);
  await other.keyboard.press('Enter');
  await other.waitForSelector('#main');
  await goto(other, '/sign-in');
  await other.getByRole('button', { name: 'Demand a second factor' }).click();
  await confirm(other, 'Demand a second factor');
  await other.getByRole('button', { name: 'Demand none any more' }).waitFor();

  await page.goto(server.url);
  await page.waitForSelector('input[name=tenant]');
  await signIn(page);
  await page.getByRole('heading', { name: 'Set up a second factor' }).waitFor();
  await page.getByRole('img', { name: /^QR code/ }).waitFor();
  await shot(page, 'sign-in-enrol');
  assert.deepEqual(await findings(page), []);
  await page.getByText('Without a camera').click();
  await page.fill('input[name=otp]', codeFor(await region(page, 'The key for the app'), Date.now()));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Your second factor is set up' }).waitFor();
  assert.ok((await region(page, 'The codes')).length > 100);
  await shot(page, 'sign-in-codes');
  assert.deepEqual(await findings(page), []);
  await page.getByRole('button', { name: 'I have copied it' }).click();
  await page.waitForSelector('#main');

  await other.getByRole('button', { name: 'Demand none any more' }).click();
  await confirm(other, 'Demand none any more');
  await other.getByText('and need not').waitFor();
  await goto(page, '/account');
  await page.getByRole('button', { name: 'Take it away' }).click();
  await page.fill('input[name=proof]', server.password);
  await page.getByRole('button', { name: 'Take it away' }).click();
  await page.getByText('There is no second factor any more.').waitFor();
});

step('whoever lost the phone is helped, kept out, let in and removed', async (page) => {
  await goto(page, '/users');
  await page.getByRole('link', { name: ada }).click();
  const drawer = page.getByRole('dialog').first();
  const act = (name) => drawer.getByRole('button', { name, exact: true }).click();
  await act('Take the second factor away');
  await confirm(page, 'Take the second factor away');
  await drawer.getByText('There is no second factor any more.').waitFor();
  await act('Make a reset link');
  assert.match(await region(page, 'The link'), /#token=eml_/);
  await act('I have copied it');
  await act('Disable');
  await confirm(page, 'Disable');
  await drawer.getByText('The user is kept out.').waitFor();
  await act('Enable');
  await drawer.getByRole('status').filter({ hasText: 'The user can sign in again.' }).waitFor();
  await act('Remove');
  await page.getByRole('dialog').last().getByRole('button', { name: 'Cancel' }).click();
  await act('Remove');
  await confirm(page, 'Remove');
  await drawer.waitFor({ state: 'detached' });
  await row(page, ada).waitFor({ state: 'detached' });
});

const VIEWS = { users: '/users', invite: '/users?open=new', teams: '/teams', roles: '/roles', 'sign-in': '/sign-in', account: '/account' };
for (const [look, [width, colorScheme]] of Object.entries(LOOKS)) {
  step(`administration can be read by everybody: ${look}`, async (page) => {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [view, path] of Object.entries(VIEWS)) {
      await goto(page, path);
      await shot(page, `admin-${view}-${look}`);
      assert.deepEqual(await findings(page), [], view);
      assert.equal(await overflow(page), 0, view);
    }
  });
}

function pick({ tenant, email, password }) {
  return { tenant, email, password };
}

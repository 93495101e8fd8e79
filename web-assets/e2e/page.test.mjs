// One visit from sign-in to sign-out, by whoever runs the server: every step builds on those before.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { findings, LOOKS, open, overflow, server, settled, shot, signIn, skip } from './browser.mjs';

if (skip) console.log(`skipped: the page's end-to-end tests, for ${skip}`);

const stamp = Date.now().toString(36);
const command = `e2e ${stamp}`;
const user = `user-${stamp}`;
const keyName = `e2e ${stamp}`;
const RUNS = 24;
/** So far ahead of the server's clock a run may be. */
const AHEAD_MAX_MS = 86_400_000;
const only = `f=command:eq:${command.replace(' ', '+')}`;

let browser, context, page, faults, key;

before(async () => {
  if (!skip) ({ browser, context, page, faults } = await open());
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

/** Reports a run as a shell would, with the key that was made in the page. */
function report(execution) {
  return context.request.post(`${server.url}/api/v1/executions`, {
    headers: { Authorization: `Bearer ${key}` },
    data: { command, user_id: user, duration_ms: 1200, exit_code: 0, ...execution },
  });
}

const goto = async (path) => {
  await page.goto(server.url + path);
  await settled(page);
};
const address = () => new URL(page.url());
const filters = () => address().searchParams.getAll('f');
const until = (inPage, argument) => page.waitForFunction(inPage, argument);

step("a tenant's own host says whose page it is", async () => {
  if (!server.ownHost) return console.log('skipped: a host of its own, for EMX_E2E_OWN_HOST names none');
  const there = await open();
  try {
    await there.page.goto(server.ownHost);
    await there.page.waitForFunction((name) => document.querySelector('input[name=tenant]')?.value === name, server.tenant);
    await there.page.fill('input[name=email]', server.email);
    await there.page.fill('input[name=password]', server.password);
    await there.page.click('button[type=submit]');
    await there.page.waitForSelector('#main');
  } finally {
    await there.browser.close();
  }
});

step('a wrong password is said in place', async () => {
  await page.goto(`${server.url}/?tenant=${server.tenant}`);
  await page.waitForSelector('input[name=tenant]');
  assert.equal(await page.inputValue('input[name=tenant]'), server.tenant);
  await shot(page, 'sign-in');
  await signIn(page, `${server.password}?`);
  await page.waitForFunction(() => document.querySelector('[role=alert]')?.textContent);
  assert.deepEqual(await findings(page), []);
});

step('the right one leads in, and a reload keeps the session', async () => {
  await signIn(page);
  await page.waitForSelector('#main');
  await page.reload();
  await page.waitForSelector('#main');
  assert.equal(await page.locator('input[name=password]').count(), 0);
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage, c: document.cookie }));
  assert.doesNotMatch(kept, /eyJ|token|refresh/i);
});

step('a key is made, and shown once', async () => {
  await goto('/keys');
  await page.fill('input[name=key-name]', keyName);
  await page.getByRole('button', { name: 'Create key' }).click();
  key = (await page.getByRole('region', { name: 'The new key' }).textContent())?.trim();
  assert.match(key, /^emx_/);
  assert.match(await page.getByRole('region', { name: /reports a run/ }).textContent(), /curl --cacert ca\.pem/);
  await page.getByRole('button', { name: 'I have copied it' }).click();
  await page.getByRole('rowheader', { name: keyName }).waitFor();
  assert.doesNotMatch(await page.content(), new RegExp(key));
});

step('a key may be of any role that one has', async () => {
  await goto('/keys');
  await page.fill('input[name=key-name]', `reads ${stamp}`);
  await page.selectOption('select[name=key-role]', 'manager');
  await page.getByRole('button', { name: 'Create key' }).click();
  const reads = (await page.getByRole('region', { name: 'The new key' }).textContent())?.trim();
  const answer = await context.request.get(`${server.url}/api/v1/users`, { headers: { Authorization: `Bearer ${reads}` } });
  assert.equal(answer.status(), 200);
  await page.getByRole('button', { name: 'I have copied it' }).click();
  await page.getByRole('row').filter({ hasText: `reads ${stamp}` }).getByText('manager').waitFor();
});

step('a key ends when one chooses, which must lie ahead', async () => {
  await goto('/keys?tz=UTC');
  const create = page.getByRole('button', { name: 'Create key' });
  await page.fill('input[name=key-name]', `until ${stamp}`);
  await page.selectOption('select[name=key-expiry]', 'at');
  assert.ok(await create.isDisabled());
  await page.fill('input[name=key-expires-at]', '2020-02-29T12:00');
  await page.getByText('The key would have expired already').waitFor();
  assert.ok(await create.isDisabled());
  assert.deepEqual(await findings(page), []);
  await page.fill('input[name=key-expires-at]', '2099-02-28T12:00');
  await create.click();
  await page.getByRole('button', { name: 'I have copied it' }).click();
  const row = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: `until ${stamp}` }) });
  await row.getByTitle('28 Feb 2099, 12:00:00.000 UTC').waitFor();
});

step('a key is let in from its networks alone', async () => {
  const create = page.getByRole('button', { name: 'Create key' });
  const networks = page.locator('textarea[name=key-networks]');
  const make = async (name, text) => {
    await goto('/keys');
    await page.fill('input[name=key-name]', name);
    await page.selectOption('select[name=key-place]', 'networks');
    assert.ok(await create.isDisabled());
    await networks.fill(text);
    await create.click();
  };
  const sent = async () => {
    const made = (await page.getByRole('region', { name: 'The new key' }).textContent())?.trim();
    const headers = { Authorization: `Bearer ${made}` };
    const data = { command: `from ${stamp}`, duration_ms: 1200, exit_code: 0 };
    return context.request.post(`${server.url}/api/v1/executions`, { headers, data });
  };
  await make(`elsewhere ${stamp}`, '192.0.2.0/24, 192.0.2.1/24');
  // What the server finds wrong is said at the field, where the focus is.
  await page.locator('textarea[name=key-networks][aria-invalid=true]').waitFor();
  await page.getByRole('alert').getByText('192.0.2.1/24').waitFor();
  await page.waitForFunction(() => document.activeElement?.name === 'key-networks');
  assert.deepEqual(await findings(page), []);
  await page.setViewportSize({ width: 360, height: 900 });
  await shot(page, 'keys-networks');
  assert.equal(await overflow(page), 0);
  await page.setViewportSize({ width: 1440, height: 900 });
  await networks.fill('192.0.2.0/24\n2001:db8::/32, 198.51.100.0/24');
  await create.click();
  await page.getByText('It is let in from 192.0.2.0/24, 2001:db8::/32, 198.51.100.0/24 alone.').waitFor();
  assert.equal((await sent()).status(), 401);
  await page.getByRole('button', { name: 'I have copied it' }).click();
  const row = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: `elsewhere ${stamp}` }) });
  await row.getByText('from 192.0.2.0/24, 2001:db8::/32 and 1 more').click();
  await row.getByText('198.51.100.0/24').waitFor();
  assert.deepEqual(await findings(page), []);
  await make(`here ${stamp}`, '127.0.0.0/8');
  assert.equal((await sent()).status(), 201);
});

step('what arrives is shown without being asked for', async () => {
  for (let n = 0; n < RUNS; n++) {
    const failed = n % 6 === 0 ? { exit_code: 2, error: 'no such file' } : {};
    const answer = await report({ ts: Date.now() - n * 60_000, duration_ms: 100 * (n + 1), ...failed });
    assert.equal(answer.status(), 201);
  }
  await goto(`/?${only}`);
  await page.locator('.stream.live').waitFor();
  await page.locator('.latest li').first().waitFor();
  const before = await page.locator('.tile .value').first().getAttribute('title');
  assert.equal(before, String(RUNS));
  await report({ user_id: `late-${user}` });
  await page.locator('.latest li', { hasText: `late-${user}` }).waitFor();
  // The panels follow, a little later.
  await until((count) => document.querySelector('.tile .value')?.getAttribute('title') === count, String(RUNS + 1));
});

step('a click on a group keeps it alone, and its chip turns and goes', async () => {
  await goto('/');
  await goto(`/?f=user_id:eq:${user}`);
  await page.locator('.tops').getByRole('button', { name: command }).click();
  assert.deepEqual(filters(), [`user_id:eq:${user}`, `command:eq:${command}`]);
  await page.getByRole('button', { name: 'is', exact: true }).last().click();
  assert.deepEqual(filters(), [`user_id:eq:${user}`, `command:ne:${command}`]);
  await page.getByRole('button', { name: `Remove the filter command is not ${command}` }).click();
  assert.deepEqual(filters(), [`user_id:eq:${user}`]);
  await page.goBack();
  assert.deepEqual(filters(), [`user_id:eq:${user}`, `command:ne:${command}`]);
});

step('a filter is added by hand', async () => {
  await goto('/runs');
  await page.getByRole('button', { name: 'Add a: Filter' }).click();
  await page.getByLabel('Field').selectOption('user_id');
  await page.getByLabel('Value', { exact: true }).fill(user);
  await page.keyboard.press('Enter');
  assert.deepEqual(filters(), [`user_id:eq:${user}`]);
  await settled(page);
  await until((count) => document.querySelectorAll('tbody tr').length === count, RUNS);
});

step('a brushed range is in the address, and back undoes it', async () => {
  await goto(`/?range=1h&${only}`);
  const box = await page.locator('.plot .u-over').first().boundingBox();
  await page.mouse.move(box.x + box.width * 0.3, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 60, { steps: 5 });
  await page.mouse.up();
  const [from, to] = ['from', 'to'].map((name) => Date.parse(address().searchParams.get(name)));
  assert.ok(to - from > 10 * 60_000 && to - from < 40 * 60_000, `${to - from} ms`);
  await page.goBack();
  assert.equal(address().searchParams.get('range'), '1h');
});

step('a finger brushes sideways, and a tap reads', async () => {
  await goto(`/?range=1h&${only}`);
  const box = await page.locator('.plot .u-over').first().boundingBox();
  const fingers = await context.newCDPSession(page);
  const touch = (type, ...places) =>
    fingers.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: places.map((place) => ({ x: box.x + box.width * place, y: box.y + 60 })),
    });
  await touch('touchStart', 0.5);
  await touch('touchEnd');
  await page.locator('.legend .when').first().filter({ hasText: ':' }).waitFor();
  assert.equal(address().searchParams.get('range'), '1h');
  await touch('touchStart', 0.3);
  for (const place of [0.35, 0.45, 0.55, 0.65, 0.7]) await touch('touchMove', place);
  await touch('touchEnd');
  await until(() => new URL(location.href).searchParams.has('from'));
  const [from, to] = ['from', 'to'].map((name) => Date.parse(address().searchParams.get(name)));
  assert.ok(to - from > 10 * 60_000 && to - from < 40 * 60_000, `${to - from} ms`);
  await fingers.detach();
});

step('range, zone, order and scale are in the address', async () => {
  await goto(`/?${only}`);
  await page.getByRole('button', { name: '7 d' }).click();
  await page.getByRole('button', { name: /^Time zone/ }).click();
  await page.getByRole('combobox', { name: 'Search time zones' }).fill('Kolkata');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Log scale' }).click();
  await page.locator('section', { has: page.getByRole('heading', { name: 'Commands' }) }).getByRole('button', { name: 'p95' }).click();
  const { searchParams } = address();
  assert.deepEqual(
    ['range', 'tz', 'log', 'sort_command'].map((name) => searchParams.get(name)),
    ['7d', 'Asia/Kolkata', '1', '-p95'],
  );
  await settled(page);
  await page.getByRole('button', { name: 'Table' }).first().click();
  await page.getByRole('region', { name: /Runs and failures over time, values/ }).waitFor();
});

step('a run shows everything, and leads to those that share it', async () => {
  await goto(`/runs?${only}&f=status:eq:failure`);
  await page.locator('tbody tr a').first().click();
  const drawer = page.getByRole('dialog');
  await drawer.getByText('no such file').waitFor();
  assert.ok(address().searchParams.get('run'));
  await shot(page, 'run');
  assert.deepEqual(await findings(page), []);
  await page.keyboard.press('Escape');
  await drawer.waitFor({ state: 'detached' });
  // The focus is back on what opened it.
  await until((name) => document.activeElement?.textContent === name, command);
  await page.goBack();
  await drawer.getByRole('link', { name: user, exact: true }).click();
  assert.ok(filters().includes(`user_id:eq:${user}`));
  assert.equal(address().searchParams.get('run'), null);
});

step('what cannot be true is seen, tried again and thrown away', async () => {
  const [kept, lost, stored] = ['kept', 'lost', 'stored'].map((word) => `${word} ${stamp}`);
  const trueAt = Date.now() + 3_000;
  for (const [command, aheadOf] of [[kept, trueAt + 86_400_000], [lost, trueAt], [stored, trueAt]]) {
    const answer = await report({ command, ts: aheadOf + AHEAD_MAX_MS });
    assert.equal((await answer.json()).outcome, 'quarantined');
  }
  await goto('/');
  await page.getByRole('link', { name: 'Quarantine' }).click();
  await settled(page);
  const entry = (name) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name }) });
  await entry(kept).getByText('What was sent').click();
  await entry(kept).getByRole('region', { name: /What was sent/ }).getByText(user).waitFor();
  await entry(kept).getByRole('button', { name: 'Try again' }).click();
  await entry(kept).getByRole('alert').waitFor();
  assert.deepEqual(await findings(page), []);
  await shot(page, 'quarantine-refused');
  await entry(lost).getByRole('button', { name: 'Throw away' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Throw away' }).click();
  await page.getByRole('status').filter({ hasText: `${lost}: it is thrown away.` }).waitFor();
  await until((ms) => Date.now() > ms, trueAt);
  await entry(stored).getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('status').filter({ hasText: `${stored}: it is stored now.` }).waitFor();
  // The focus is on another entry, not lost with the one that went.
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'BUTTON');
  await page.reload();
  await settled(page);
  await entry(kept).waitFor();
  assert.equal((await entry(lost).count()) + (await entry(stored).count()), 0);
});

step('the audit log is searched and proved', async () => {
  await goto('/');
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.getByRole('link', { name: 'Audit' }).click();
  await settled(page);
  const entry = page.getByRole('listitem').filter({ hasText: 'session.begin' }).first();
  await entry.getByText('session.begin').click();
  await entry.getByText('127.0.0.1').waitFor();
  await page.getByLabel('Words').fill('quarantine.delete');
  await page.getByRole('listitem').filter({ hasText: 'session.begin' }).first().waitFor({ state: 'detached' });
  await page.getByRole('listitem').filter({ hasText: 'quarantine.delete' }).first().waitFor();
  await page.getByRole('button', { name: 'Verify the log' }).click();
  await page.getByText(/^All [0-9,]+ entries are what was written/).waitFor();
  await page.getByText(/^emx-audit /).waitFor();
  assert.deepEqual(await findings(page), []);
  await shot(page, 'audit-proved');
});

const VIEWS = { overview: '/?range=24h', filtered: `/?${only}`, runs: '/runs', quarantine: '/quarantine', keys: '/keys', audit: '/audit', nowhere: '/nowhere' };
for (const [look, [width, colorScheme]] of Object.entries(LOOKS)) {
  step(`every view can be read by everybody: ${look}`, async () => {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [view, path] of Object.entries(VIEWS)) {
      await goto(path);
      await shot(page, `${view}-${look}`);
      assert.deepEqual(await findings(page), [], view);
      assert.equal(await overflow(page), 0, view);
    }
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: null });
  });
}

step('the keyboard reaches the content first', async () => {
  await goto('/');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent?.trim()), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
});

step('a revoked key is refused', async () => {
  await goto('/keys');
  const row = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: keyName }) });
  await row.getByRole('button', { name: /^Revoke/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await row.getByRole('button').waitFor({ state: 'detached' });
  assert.equal((await report({})).status(), 401);
});

step('signing out ends it', async () => {
  await page.getByRole('button', { name: /^Account/ }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForSelector('input[name=password]');
  await page.reload();
  await page.waitForSelector('input[name=password]');
});

step('an invitation is taken once, for a password that nobody else knows', async () => {
  const api = async (path, data, token) => {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await context.request.post(`${server.url}/api/v1${path}`, { headers, data });
    assert.ok(answer.ok(), `${path}: ${answer.status()}`);
    return answer.json();
  };
  const { tenant, email, password } = server;
  const { access_token } = await api('/auth/login', { tenant, email, password });
  const invited = await api('/users/invite', { email: `${user}@example.org`, role: 'viewer' }, access_token);
  const link = new URL(invited.link);
  const open = async () => {
    await page.goto(server.url + link.pathname + link.hash);
    await page.waitForSelector('input[name=again]');
    assert.equal(address().hash, '');
  };
  const choose = async (chosen, again = chosen) => {
    await page.fill('input[name=password]', chosen);
    await page.fill('input[name=again]', again);
    await page.click('button[type=submit]');
  };
  const told = (words) => page.getByRole('alert').filter({ hasText: words }).waitFor();
  await open();
  await shot(page, 'accept');
  assert.deepEqual(await findings(page), []);
  await choose('another fine day', 'another fine night');
  await told('The two passwords differ.');
  await choose('password123');
  await told('easy to guess');
  await choose('another fine day');
  await page.getByRole('heading', { name: 'You can sign in now' }).waitFor();
  assert.deepEqual(await findings(page), []);
  await open();
  await choose('yet another fine day');
  await told('used before');
  await api('/auth/login', { tenant, email: `${user}@example.org`, password: 'another fine day' });
});

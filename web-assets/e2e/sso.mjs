// Signs in by a button of the sign-in page, in a browser:
//
//   node e2e/sso.mjs oidc NAME LOGIN    at a real provider, as LOGIN
//   node e2e/sso.mjs saml NAME          by an answer that whoever runs this makes
//
// For SAML the address where the browser was sent is printed; a line of JSON is read with the answer,
// `{"acs", "response", "relay_state"}`. At the end who is signed in is printed.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { findings, open, server, settled, shot } from './browser.mjs';

const [kind, name, login] = process.argv.slice(2);
const FROM = '/runs?range=7d';

const { browser, context, page, faults } = await open();
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** What a SAML provider has a browser do: a form that sends itself, from its own page. */
function form({ acs, response, relay_state }) {
  const field = (name, value) => `<input type="hidden" name="${name}" value="${escaped(value)}">`;
  return `<!doctype html><form method="post" action="${escaped(acs)}">${field('SAMLResponse', response)}
    ${field('RelayState', relay_state)}</form><script>document.forms[0].submit()</script>`;
}

async function atSamlProvider() {
  await context.route('https://idp.example.org/**', async (route) => {
    console.log(route.request().url());
    const { value } = await lines.next();
    await route.fulfill({ contentType: 'text/html', body: form(JSON.parse(value)) });
  });
}

async function atOidcProvider() {
  await page.waitForSelector('input[name=login]');
  await page.fill('input[name=login]', login);
  await page.fill('input[name=password]', 'any');
  await page.click('button[type=submit]');
  await page.waitForSelector('input[name=prompt][value=consent]', { state: 'attached' });
  await page.click('button[type=submit]');
}

try {
  if (kind === 'saml') await atSamlProvider();
  await page.goto(`${server.url}${FROM}&tenant=${server.tenant}`);
  const button = page.getByRole('link', { name: `Sign in with ${name}` });
  await button.waitFor();
  assert.deepEqual(await findings(page), []);
  await shot(page, `sso-${kind}`);
  await button.click();
  if (kind === 'oidc') await atOidcProvider();
  await page.waitForURL((url) => url.href.startsWith(`${server.url}/runs`));
  await settled(page);
  assert.equal(new URL(page.url()).searchParams.get('range'), '7d');
  // The session is the cookie's: it outlives the page.
  await page.reload();
  await settled(page);
  const cookies = await context.cookies();
  const kept = cookies.filter((cookie) => cookie.name.startsWith('__Host-emx'));
  assert.deepEqual(kept.map(({ name, sameSite }) => [name, sameSite]), [['__Host-emx_refresh', 'Strict']]);
  assert.ok(kept.every(({ httpOnly, secure }) => httpOnly && secure));
  const own = faults.filter((fault) => !fault.startsWith('request to another host: https://'));
  assert.deepEqual(own, []);
  console.log(`SIGNED IN ${await page.evaluate(() => document.body.innerText.match(/[\w.]+@[\w.]+/)?.[0])}`);
} catch (error) {
  await shot(page, `failed-sso-${kind}`);
  throw error;
} finally {
  await browser.close();
  process.stdin.destroy();
}

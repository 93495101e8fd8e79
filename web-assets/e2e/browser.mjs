// Drives the page in Chromium against a running server, and notes whatever it must never do.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const { EMX_E2E_URL, EMX_E2E_TENANT, EMX_E2E_EMAIL, EMX_E2E_PASSWORD, EMX_E2E_CHROMIUM } = process.env;

export const server = {
  url: EMX_E2E_URL?.replace(/\/$/, '') ?? '',
  tenant: EMX_E2E_TENANT ?? 'default',
  email: EMX_E2E_EMAIL ?? '',
  password: EMX_E2E_PASSWORD ?? '',
  /** Where the tenant has a host of its own. */
  ownHost: process.env.EMX_E2E_OWN_HOST,
};

/** Why nothing can be tried here, or `false`. */
export const skip =
  server.url && server.email && server.password
    ? false
    : 'EMX_E2E_URL, EMX_E2E_EMAIL and EMX_E2E_PASSWORD name no server to try the page on';

/** How the page is looked at: by width and theme. */
export const LOOKS = { light: [1440, 'light'], dark: [1440, 'dark'], narrow: [400, 'light'], 'narrow-dark': [360, 'dark'] };

const SHOTS = fileURLToPath(new URL('./shots/', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A browser with one page; `faults` collects foreign requests, policy violations and errors of scripts. */
export async function open() {
  mkdirSync(SHOTS, { recursive: true });
  const browser = await chromium.launch({
    executablePath: EMX_E2E_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1440, height: 900 },
    colorScheme: 'light',
    timezoneId: 'Europe/Berlin',
  });
  const page = await context.newPage();
  const faults = [];
  const host = new URL(server.url).host;
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol !== 'data:' && url.protocol !== 'blob:' && url.host !== host) {
      faults.push(`request to another host: ${url}`);
    }
  });
  page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== host) faults.push(`socket to another host: ${socket.url()}`);
  });
  page.on('pageerror', (error) => faults.push(`script error: ${error.message}`));
  page.on('console', (message) => {
    if (/content security policy|violates the following/i.test(message.text())) {
      faults.push(`policy violation: ${message.text()}`);
    }
  });
  await context.exposeFunction('emxViolation', (text) => faults.push(`policy violation: ${text}`));
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      window.emxViolation(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return { browser, context, page, faults };
}

export async function signIn(page, password = server.password, email = server.email) {
  await page.fill('input[name=tenant]', server.tenant);
  await page.fill('input[name=email]', email);
  await page.fill('input[name=password]', password);
  await page.click('button[type=submit]');
}

/** Nothing is loading any more. */
export async function settled(page) {
  await page.waitForFunction(
    () => document.querySelector('#main') && !document.querySelector('[aria-busy=true], .progress'),
  );
}

export async function shot(page, name) {
  await page.screenshot({ path: `${SHOTS}${name}.png` });
}

/** The serious and critical findings of axe-core, one line each. */
export async function findings(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}

/** How far the page is wider than its window. */
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

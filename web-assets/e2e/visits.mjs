// Visits the page for a benchmark: reads the address of an overview a line, answers each with what the visit took.
// Begins with a line that says that it is signed in.
import { createInterface } from 'node:readline';
import { open, server, signIn } from './browser.mjs';

const { browser, context, page, faults } = await open();
const network = await context.newCDPSession(page);
const requests = [];
page.on('request', (request) => requests.push(request.url()));

// Notes when everything is there: each tile, chart and table with its data, and the frame with it painted.
await context.addInitScript(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const isShown = () =>
    !document.querySelector('[aria-busy=true], .progress, .stale, .trouble') &&
    all('.tile .value').filter((value) => value.textContent.trim()).length === 4 &&
    all('.tile .spark path').length === 4 &&
    all('.charts canvas').length === 2 &&
    all('.tops tbody').length === 4 &&
    all('.tops tbody').every((table) => table.rows.length > 0) &&
    all('.latest li').length > 0;
  const look = () => {
    if (isShown()) requestAnimationFrame(() => (window.emxShownMs = performance.now()));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});

async function visit(path) {
  await page.goto('about:blank');
  await network.send('Network.clearBrowserCache');
  requests.length = 0;
  await page.goto(server.url + path);
  const shown = await page.waitForFunction(() => window.emxShownMs);
  // Whatever else the page does of itself belongs to the visit.
  await page.locator('.stream.live').waitFor();
  await page.waitForLoadState('networkidle');
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return {
    shown_ms: await shown.jsonValue(),
    requests: requests.length,
    questions: requests.filter((url) => url.endsWith('/api/v1/query')).length,
  };
}

await page.goto(server.url);
await signIn(page);
await page.waitForSelector('#main');
console.log(JSON.stringify({ signed_in: true }));
for await (const path of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await visit(path)));
}
await browser.close();

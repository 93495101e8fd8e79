// Watches live what happens, breaks off, and goes on from there without a gap.
//
// README.md says which variables are to be set.
import { on, once } from 'node:events';
import WebSocket from 'ws';

const { EMX_URL: url, EMX_TENANT: tenant, EMX_EMAIL: email, EMX_PASSWORD: password } = process.env;
const headers = { 'Content-Type': 'application/json' };

async function post(path, body) {
  const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const told = await answer.json();
  if (!answer.ok) throw new Error(`${path}: ${told.code}, ${told.detail}`);
  return told;
}

const run = (command) => post('/api/v1/executions', { command });

/** An open subscription and what it is told; a ticket is good once and for 30 seconds. */
async function watch(from_seq) {
  const { ticket } = await post('/api/v1/ws/ticket');
  const address = `${url.replace('https', 'wss')}/api/v1/ws?ticket=${ticket}`;
  const socket = new WebSocket(address, 'emx.v1', { origin: url });
  const told = on(socket, 'message'); // from now on, so that nothing is missed
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'subscribe', id: 'all', topics: ['metrics_update'], from_seq }));
  const { type, data } = await next(told);
  console.log(type, 'from', data.seq);
  return { socket, told };
}

async function next(told) {
  const [text] = (await told.next()).value;
  return JSON.parse(text);
}

/** Prints what an update tells, and gives the seq wanted next. */
async function nextUpdate({ told }) {
  const { data } = await next(told);
  for (const { seq, command } of data.executions) console.log('seq', seq, command);
  return data.last_seq + 1;
}

const { access_token } = await post('/api/v1/auth/login', { tenant, email, password });
headers.Authorization = `Bearer ${access_token}`;

const before = await watch();
await run('while watching');
const wanted = await nextUpdate(before);
before.socket.close();
await once(before.socket, 'close');

await run('while away');
const after = await watch(wanted);
await nextUpdate(after);
after.socket.close();

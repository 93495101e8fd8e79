// What fan-out is compared with: sends each message of a Redis channel to every WebSocket, over TLS.
//
// node fan_out.js <Redis URL> <channel> <private key file> <certificate file>
//
// Prints {"port":…} once it listens on the loopback interface.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createClient } from 'redis';
import { WebSocket, WebSocketServer } from 'ws';

const [url, channel, key, cert] = process.argv.slice(2);

const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) });
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

// The bytes that Redis gave go to every socket as they are: `true` asks for them instead of a string,
// which would be made of them here and be encoded again for each socket.
const subscriber = createClient({ url });
const text = { binary: false, compress: false };
await subscriber.connect();
await subscriber.subscribe(
  channel,
  (message) => {
    for (const socket of sockets.clients) {
      if (socket.readyState === WebSocket.OPEN) socket.send(message, text);
    }
  },
  true,
);

server.listen(0, '127.0.0.1', () => console.log(JSON.stringify(server.address())));

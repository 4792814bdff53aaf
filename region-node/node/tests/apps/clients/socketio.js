const assert = require('node:assert');
const http = require('node:http');
const { io } = require('socket.io-client');
const { run, say, target } = require('./talk.js');

// One browser: a cookie that was set once is sent from then on, with everything.
function browser() {
  const cookies = new Map();
  return {
    options: () => ({ forceNew: true, reconnection: false, withCredentials: true, extraHeaders: cookies.size ? { cookie: [...cookies.values()].join('; ') } : {} }),
    // As a page does that is loaded before the chat is opened.
    visit: () => new Promise((resolve, reject) => {
      http.get(new URL('/healthz', target), { headers: cookies.size ? { cookie: [...cookies.values()].join('; ') } : {} }, (response) => {
        for (const line of response.headers['set-cookie'] ?? []) cookies.set(line.split('=')[0], line.split(';')[0]);
        response.resume().on('end', resolve);
      }).on('error', reject);
    }),
  };
}

function once(socket, event) {
  return new Promise((resolve, reject) => {
    socket.once(event, resolve);
    socket.once('connect_error', reject);
    setTimeout(() => reject(new Error(`no ${event} within 20 s`)), 20_000).unref();
  });
}

async function chat(transports) {
  const user = browser();
  await user.visit();
  const socket = io(target.href, { ...user.options(), transports });
  const { worker } = await once(socket, 'welcome');
  for (let i = 0; i < 5; i += 1) {
    const { text } = await socket.timeout(20_000).emitWithAck('say', `größer ${i}`);
    assert.equal(text, `größer ${i}`);
  }
  if (transports.length > 1 && socket.io.engine.transport.name === 'polling') await new Promise((resolve) => socket.io.engine.once('upgrade', resolve));
  const { transport } = await socket.timeout(20_000).emitWithAck('say', 'which');
  assert.equal(transport, transports.at(-1));
  const reversed = await socket.timeout(20_000).emitWithAck('bytes', Buffer.from([1, 2, 3, 250]));
  assert.deepEqual([...Buffer.from(reversed)], [250, 3, 2, 1]);
  const gone = once(socket, 'disconnect');
  socket.emit('leave');
  return { worker, transport, reason: await gone };
}

run(async () => {
  const workers = new Set();
  for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
    const chats = await Promise.all(Array.from({ length: 10 }, () => chat(transports)));
    for (const { worker } of chats) workers.add(worker);
    say(transports, chats[0].transport, chats[0].reason, chats.length);
  }
  const wrong = io(target.href, { ...browser().options(), auth: { token: 'wrong' } });
  const error = await new Promise((resolve) => wrong.once('connect_error', resolve));
  say('wrong token', error.message);
  wrong.close();
  // Whoever asked has to see that more than one was asked.
  console.error(`workers ${[...workers].sort().join(' ')}`);
});

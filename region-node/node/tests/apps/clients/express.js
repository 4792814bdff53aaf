const assert = require('node:assert');
const http = require('node:http');
const { Readable } = require('node:stream');
const { Jar, all, ask, open, run, say, send, sha256 } = require('./talk.js');

run(async () => {
  // A session is a cookie, and its owner's alone.
  const [ann, bob] = [new Jar(), new Jar()];
  for (const jar of [ann, ann, bob]) await ask('GET', '/', { jar });
  const json = { 'content-type': 'application/json' };
  await ask('POST', '/cart', { jar: ann, headers: json, body: JSON.stringify({ item: 'größer ✓' }) });
  await ask('GET', '/cart', { jar: ann });
  await ask('GET', '/cart', { jar: bob });
  await ask('POST', '/cart', { headers: json, body: '{"item":' });

  // An upload as a form sends it, in pieces and without a length.
  const photo = Buffer.alloc(3 << 20, 'photo ');
  const form = (boundary) => [
    `--${boundary}\r\ncontent-disposition: form-data; name="note"\r\n\r\nfor Ann\r\n`,
    `--${boundary}\r\ncontent-disposition: form-data; name="photo"; filename="a b.png"\r\ncontent-type: image/png\r\n\r\n`,
    photo,
    `\r\n--${boundary}--\r\n`,
  ];
  const type = { 'content-type': 'multipart/form-data; boundary=xyz' };
  await ask('POST', '/upload', { headers: type, body: Readable.from(form('xyz')) });
  const whole = Buffer.concat(form('xyz').map((part) => Buffer.from(part)));
  await ask('POST', '/upload', { headers: { ...type, 'content-length': whole.length }, body: whole });

  // `Expect: 100-continue`, as curl does with large bodies.
  const expecting = open('POST', '/echo', { headers: { expect: '100-continue', 'content-type': 'text/plain' } });
  expecting.flushHeaders();
  await new Promise((resolve, reject) => expecting.once('continue', resolve).once('error', reject));
  const expected = new Promise((resolve) => expecting.once('response', resolve));
  expecting.end('went on');
  say('after 100', (await all(await expected)).toString());

  // Downloads: whole, a part, not again, and only the head of it.
  const download = await ask('GET', '/download');
  await ask('GET', '/download', { headers: { range: 'bytes=10-29' } });
  await ask('GET', '/download', { headers: { 'if-none-match': download.headers.etag } });
  await ask('HEAD', '/download');
  await ask('GET', '/report');

  // Each event comes before the next one is made.
  const events = await send('GET', '/events');
  say('events', events.statusCode, events.headers['content-type'], events.headers['cache-control']);
  let seen = '';
  for await (const piece of events) {
    seen += piece;
    if (seen.endsWith('\n\n') && !seen.includes('id: 5')) {
      assert.equal((await all(await send('POST', '/seen'))).length, 0);
    }
  }
  say(seen);

  // The rest of HTTP that apps use.
  for (const [method, body] of [['PUT', 'a'], ['PATCH', 'b'], ['DELETE', undefined], ['OPTIONS', undefined], ['PROPFIND', 'c']]) {
    await ask(method, '/echo', { headers: body ? { 'content-type': 'text/plain' } : {}, body });
  }
  await ask('GET', '/old');
  await ask('GET', '/missing?q=%C3%BC%20%2F..%2F');
  await ask('GET', '/broken');

  // Who asked, and for what: the host is the one that the user typed.
  const who = await send('GET', '/who?x=%20a', { headers: { host: 'shop.example:8443' } });
  const { ip, ...rest } = JSON.parse(await all(who));
  say('who', ip.replace('::ffff:', ''), rest); // IPv4, as the socket of the app or as the proxy tells it

  // One connection, many requests; and many at a time.
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const statuses = [];
  for (let i = 0; i < 50; i += 1) {
    const response = await send('GET', '/who', { agent });
    statuses.push(response.statusCode, JSON.parse(await all(response)).path);
  }
  say('fifty over one connection', sha256(statuses.join()));
  const many = await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    const response = await send('POST', '/echo', { headers: { 'content-type': 'text/plain' }, body: `n${i}`.repeat(1000) });
    return sha256(await all(response));
  }));
  say('fifty at a time', sha256(many.join()));
});

const assert = require('node:assert');
const { all, headersThatMatter, run, say, send } = require('./talk.js');

run(async () => {
  const id = process.argv[3];
  const response = await send('GET', `/?id=${id}`);
  say(response.statusCode, headersThatMatter(response.headers));
  response.setEncoding('utf8');
  let page = '';
  let released = false;
  for await (const piece of response) {
    page += piece;
    // The frame is here; only now can the rest be made.
    if (!released && page.includes('Loading reviews')) {
      assert(!page.includes('very'), 'the rest came before it could be known');
      released = true;
      await all(await send('GET', `/release?id=${id}`));
    }
  }
  assert(released, 'the frame did not come by itself');
  say(page.replaceAll(id, 'ID').replace(/performance.now\(\)|\d+\.\d+/g, 't'));
  const missing = await send('GET', '/missing');
  say(missing.statusCode, (await all(missing)).toString());
});

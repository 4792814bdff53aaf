const { ask, run } = require('./talk.js');

run(async () => {
  const put = (id, item) => ask('PUT', `/items/${id}`, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(item) });
  await put('7', { name: 'tea', price: 3.5 });
  await put('7', { name: 'tea', price: 4 });
  await put('8', { name: '', price: -1 });
  const { headers } = await ask('GET', '/items/7');
  await ask('GET', '/items/7', { headers: { 'if-none-match': headers.etag } });
  await ask('HEAD', '/items/7');
  await ask('GET', '/items/%C3%BC');
  await ask('DELETE', '/items/7');
  await ask('GET', '/items/7');
  await ask('GET', '/stream');
  await ask('GET', '/query?a=1&a=2&b=%2B+c');
  await ask('GET', '/broken');
  await ask('POST', '/items/7', { headers: { 'content-type': 'application/json' }, body: '{}' });
  await ask('PUT', '/items/9', { headers: { 'content-type': 'text/csv' }, body: 'a,b' });
});

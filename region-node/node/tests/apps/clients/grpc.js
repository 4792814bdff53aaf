const assert = require('node:assert');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const { run, say, sha256, target } = require('./talk.js');

const { shop } = grpc.loadPackageDefinition(loader.loadSync(path.join(__dirname, '../orders.proto')));
const client = new shop.Orders(target.host, grpc.credentials.createInsecure(), { 'grpc.max_receive_message_length': 16 << 20 });

// What of metadata an app has put there.
function told(metadata) {
  const known = ['seen', 'cost', 'reason', 'detail-bin', 'sent', 'content-type'];
  return known.filter((key) => metadata.get(key).length).map((key) => {
    const [value] = metadata.get(key);
    return [key, Buffer.isBuffer(value) ? value.toString('hex') : value];
  });
}

async function unary(order, metadata = new grpc.Metadata(), options = {}) {
  const said = {};
  let call;
  const answered = new Promise((resolve) => {
    call = client.Get(order, metadata, options, (error, answer) => {
      resolve({ error: error && { code: error.code, details: error.details, metadata: told(error.metadata) }, answer });
    });
  });
  call.on('metadata', (head) => { said.head = told(head); });
  const ended = new Promise((resolve) => call.on('status', resolve));
  return { ...await answered, ...said, trailers: told((await ended).metadata) };
}

run(async () => {
  const metadata = new grpc.Metadata();
  metadata.set('asked', 'by Ann');
  const found = await unary({ id: 1, note: 'x', blob: Buffer.alloc(5) }, metadata);
  say('get', found.head, found.trailers, found.answer);
  const missing = await unary({ id: 404 });
  say('missing', missing.error);
  const late = await unary({ id: 504 }, metadata, { deadline: Date.now() + 300 });
  say('late', late.error.code);
  const blob = Buffer.alloc(5 << 20, 'blob ');
  const large = await unary({ id: 2, blob });
  say('large', large.answer.blob.length, sha256(large.answer.blob));

  // Each message comes before the next one is made.
  const list = client.List({});
  const ids = [];
  const listed = new Promise((resolve, reject) => {
    list.on('status', (status) => resolve([status.code, told(status.metadata)]));
    list.on('error', reject);
  });
  list.on('data', ({ id }) => {
    ids.push(id);
    if (id < 5) client.Add((error) => assert.ifError(error)).end();
  });
  say('list', await listed, ids);

  const added = await new Promise((resolve, reject) => {
    const call = client.Add((error, answer) => (error ? reject(error) : resolve(answer)));
    for (let i = 0; i < 100; i += 1) call.write({ id: i, blob: Buffer.alloc(20_000) });
    call.end();
  });
  say('add', added);

  const chat = client.Chat();
  const heard = [];
  const status = new Promise((resolve) => {
    chat.on('status', ({ code, details }) => resolve([code, details]));
    chat.on('error', () => {});
  });
  chat.on('data', ({ id, note }) => {
    heard.push([id, note]);
    chat.write(id < 100 ? { id, note } : { id: -1 });
  });
  chat.write({ id: 1, note: 'größer' });
  say('chat', await status, heard);

  const many = await Promise.all(Array.from({ length: 200 }, (_, i) => unary({ id: i + 1000 })));
  say('many', many.every(({ answer }, i) => answer?.id === i + 1000));
  client.close();
});

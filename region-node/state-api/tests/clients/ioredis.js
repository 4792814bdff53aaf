// ioredis against a port given as argument: connects, works, reads errors. Exits with 0 if all is as with Redis.
'use strict';

const assert = require('node:assert');
const { Redis } = require('ioredis');

const port = Number(process.argv[2]);

async function shop(options) {
  const client = new Redis(port, options);
  assert.strictEqual(await client.set('k', 'v', 'EX', 100), 'OK');
  assert.strictEqual(await client.get('k'), 'v');
  assert.strictEqual(await client.set('k', 'w', 'NX'), null);
  assert((await client.ttl('k')) > 90);
  assert.deepStrictEqual(await client.mget('k', 'nothing'), ['v', null]);
  assert.strictEqual(await client.incrby('n', 5), 5);
  assert.strictEqual(await client.hset('h', { a: 1, b: 2 }), 2);
  assert.deepStrictEqual({ ...(await client.hgetall('h')) }, { a: '1', b: '2' });
  assert.strictEqual(await client.hincrby('h', 'a', 4), 5);
  assert.strictEqual(await client.sadd('s', 'x', 'y'), 2);
  assert.deepStrictEqual([...(await client.smembers('s'))].sort(), ['x', 'y']);
  const replies = await client.pipeline().incr('n').get('k').incr('s').exec();
  assert.deepStrictEqual(replies[0], [null, 6]);
  assert.deepStrictEqual(replies[1], [null, 'v']);
  assert.match(replies[2][0].message, /^WRONGTYPE /);
  const keys = [];
  for await (const page of client.scanStream({ match: '*', count: 3 })) keys.push(...page);
  assert.deepStrictEqual(keys.sort(), ['h', 'k', 'n', 's']);
  assert.strictEqual(await client.del('h', 'k', 'n', 's'), 4);
  assert.match(await client.call('REGION', 'TOKEN'), /^1\.[0-9a-f]+$/);
  await client.quit();
}

(async () => {
  await shop({});
  await shop({ connectionName: 'shop' });
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

// An API as Fastify's documentation shows it: schemas, hooks, a stream, an error. Its port is written down, as ports are.
const { Readable } = require('node:stream');
const fastify = require('fastify')({ requestIdHeader: 'x-request-id' });

fastify.addHook('onSend', async (request, reply) => {
  reply.header('x-route', request.routeOptions.url ?? 'none');
});

const item = {
  type: 'object',
  required: ['name', 'price'],
  properties: { name: { type: 'string', minLength: 1 }, price: { type: 'number', minimum: 0 } },
};
const items = new Map();

fastify.get('/healthz', async () => 'ok');
fastify.put('/items/:id', { schema: { body: item } }, async (request, reply) => {
  const created = !items.has(request.params.id);
  items.set(request.params.id, request.body);
  return reply.code(created ? 201 : 200).send({ id: request.params.id, ...request.body });
});
fastify.get('/items/:id', async (request, reply) => {
  const found = items.get(request.params.id);
  if (!found) return reply.code(404).send({ message: 'no such item' });
  const etag = `"${found.name}-${found.price}"`;
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  return reply.header('etag', etag).header('cache-control', 'public, max-age=60').send(found);
});
fastify.delete('/items/:id', async (request, reply) => {
  items.delete(request.params.id);
  return reply.code(204).send();
});
fastify.get('/stream', async (request, reply) => {
  async function* lines() {
    for (let i = 0; i < 1000; i += 1) yield `${JSON.stringify({ i })}\n`;
  }
  return reply.type('application/x-ndjson').send(Readable.from(lines()));
});
fastify.get('/query', async (request) => request.query);
fastify.get('/broken', async () => {
  throw Object.assign(new Error('out of stock'), { statusCode: 409 });
});

fastify.listen({ port: 3000, host: '127.0.0.1' });

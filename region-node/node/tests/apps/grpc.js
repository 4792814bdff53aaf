// A gRPC service: each of the four kinds of call, metadata both ways, a status with details in the trailers, a deadline.
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const { shop } = grpc.loadPackageDefinition(loader.loadSync(path.join(__dirname, 'orders.proto')));

const server = new grpc.Server({ 'grpc.max_receive_message_length': 16 << 20 });
server.addService(shop.Orders.service, {
  Get(call, done) {
    const { id, blob } = call.request;
    if (id === 404) {
      const trailers = new grpc.Metadata();
      trailers.set('reason', 'sold out');
      trailers.set('detail-bin', Buffer.from([0, 1, 254, 255]));
      return done({ code: grpc.status.NOT_FOUND, details: 'no order 404 — größer', metadata: trailers });
    }
    if (id === 504) return undefined; // never answers
    const head = new grpc.Metadata();
    head.set('seen', String(call.metadata.get('asked')[0] ?? ''));
    call.sendMetadata(head);
    const trailers = new grpc.Metadata();
    trailers.set('cost', '7');
    return done(null, { id, note: 'found', blob }, trailers);
  },
  // The first message at once, each next one when the one before has been seen: the client says so with `Add`.
  List(call) {
    let id = 0;
    const send = () => {
      id += 1;
      call.write({ id });
      if (id === 5) {
        server.seen = () => {};
        const trailers = new grpc.Metadata();
        trailers.set('sent', '5');
        call.end(trailers);
      }
    };
    server.seen = send;
    send();
  },
  Add(call, done) {
    let [count, bytes] = [0, 0];
    call.on('data', (order) => {
      count += 1;
      bytes += order.blob.length;
    });
    call.on('end', () => {
      if (count === 0) server.seen();
      done(null, { id: count, note: String(bytes) });
    });
  },
  Chat(call) {
    call.on('data', (order) => {
      if (order.id < 0) return call.emit('error', { code: grpc.status.ABORTED, details: 'enough' });
      return call.write({ id: order.id * 2, note: order.note });
    });
    call.on('end', () => call.end());
  },
});
server.seen = () => {};

server.bindAsync(`${process.env.HOST || '0.0.0.0'}:${process.env.PORT || 50051}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});

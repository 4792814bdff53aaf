// A chat with Socket.IO, in memory as in its tutorial: a session lives in one process, so its requests must come to that one.
const http = require('node:http');
const { Server } = require('socket.io');

const server = http.createServer((req, res) => {
  if (req.url === '/healthz') return res.end('ok');
  return res.writeHead(404).end();
});
const io = new Server(server, { pingInterval: 2000, pingTimeout: 5000 });

io.use((socket, next) => (socket.handshake.auth.token === 'wrong' ? next(new Error('who are you?')) : next()));
io.on('connection', (socket) => {
  socket.emit('welcome', { worker: process.env.NODE_APP_INSTANCE ?? 'none', transport: socket.conn.transport.name });
  socket.on('say', (text, seen) => seen({ text, transport: socket.conn.transport.name }));
  socket.on('bytes', (bytes, seen) => seen(Buffer.from(bytes).reverse()));
  socket.on('leave', () => socket.disconnect(true));
});

server.listen(process.env.PORT || 3000);

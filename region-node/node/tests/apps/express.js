// A shop as Express tutorials write it: sessions in a cookie, an upload, a download, server-sent events, an error handler.
const crypto = require('node:crypto');
const path = require('node:path');
const express = require('express');
const session = require('express-session');
const multer = require('multer');

const app = express();
const upload = multer({ storage: multer.memoryStorage(), limits: { fileSize: 8 << 20 } });

app.set('trust proxy', 1);
app.use(session({ secret: 'keyboard cat', resave: false, saveUninitialized: false, cookie: { sameSite: 'lax' } }));
app.use(express.json());

app.get('/healthz', (req, res) => res.send('ok'));

app.get('/', (req, res) => {
  req.session.views = (req.session.views || 0) + 1;
  res.json({ views: req.session.views });
});

app.post('/cart', (req, res) => {
  req.session.cart = [...(req.session.cart || []), req.body.item];
  res.status(201).location('/cart').json(req.session.cart);
});

app.get('/cart', (req, res) => res.json(req.session.cart || []));

app.post('/upload', upload.single('photo'), (req, res) => {
  const { originalname, mimetype, size, buffer } = req.file;
  res.json({ originalname, mimetype, size, sha256: crypto.createHash('sha256').update(buffer).digest('hex'), note: req.body.note });
});

app.get('/download', (req, res) => res.download(path.join(__dirname, 'package.json'), 'order 1.json'));

// 3 MB without a length, as a report that is made while it is sent.
app.get('/report', async (req, res) => {
  res.type('text/csv');
  for (let row = 0; row < 30000; row += 1) {
    const more = res.write(`${row},${'x'.repeat(95)}\n`);
    if (!more) await new Promise((done) => res.once('drain', done));
  }
  res.end();
});

// The next event is sent when somebody has said that the last one came: `POST /seen`.
let next = () => {};
app.get('/events', (req, res) => {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', connection: 'keep-alive' });
  let count = 0;
  next = () => {
    count += 1;
    res.write(`id: ${count}\ndata: ${JSON.stringify({ count })}\n\n`);
    if (count === 5) res.end();
  };
  next();
});
app.post('/seen', (req, res) => {
  next();
  res.status(204).end();
});

app.get('/old', (req, res) => res.redirect(301, '/new?a=1&b=2'));
app.get('/who', (req, res) => res.json({ ip: req.ip, protocol: req.protocol, host: req.host, path: req.originalUrl }));
app.all('/echo', express.raw({ type: '*/*' }), (req, res) => {
  res.set('x-method', req.method).send(req.body?.length ? req.body : '');
});
app.get('/slow', (req, res) => setTimeout(() => res.send('slow'), 300));
app.get('/broken', () => {
  throw new Error('a bug');
});
app.use((error, req, res, _next) => res.status(500).json({ error: error.message }));

app.listen(process.env.PORT || 3000);

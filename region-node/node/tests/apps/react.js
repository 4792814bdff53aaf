// A page that React renders on the server and streams: the frame at once, what has to be fetched when it is there.
const http = require('node:http');
const React = require('react');
const { renderToPipeableStream } = require('react-dom/server');

const h = React.createElement;
const { Suspense, use } = React;

// What a page waits for: a promise that `GET /release?id=…` resolves.
const waiting = new Map();
function reviews(id) {
  if (!waiting.has(id)) {
    const entry = {};
    entry.promise = new Promise((resolve) => {
      entry.resolve = resolve;
    });
    waiting.set(id, entry);
  }
  return waiting.get(id);
}

function Reviews({ id }) {
  const list = use(reviews(id).promise);
  return h('ul', null, list.map((text) => h('li', { key: text }, text)));
}

function Page({ id }) {
  return h('html', { lang: 'en' },
    h('head', null, h('meta', { charSet: 'utf-8' }), h('title', null, `Product ${id}`)),
    h('body', null,
      h('h1', null, `Product ${id} — “größer” ✓`),
      h(Suspense, { fallback: h('p', null, 'Loading reviews…') }, h(Reviews, { id }))));
}

const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://app');
  const id = url.searchParams.get('id') ?? '0';
  if (url.pathname === '/healthz') return res.end('ok');
  if (url.pathname === '/release') {
    reviews(id).resolve(['good', 'very <good>']);
    return res.writeHead(204).end();
  }
  if (url.pathname !== '/') return res.writeHead(404).end('not found');
  const { pipe } = renderToPipeableStream(h(Page, { id }), {
    onShellReady() {
      res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      pipe(res);
    },
    onShellError(error) {
      res.writeHead(500).end(error.message);
    },
  });
});

server.listen(process.env.PORT || 3000);

// A worker with switches, for tests of what users notice of it. It answers every path with its slot and release. Faults are switched on
// at the worker itself, not through the gateway: POST /_fault?slow_ms=…&fail=…&route=… (a share of failures; on one path alone).
const http = require('node:http');

const slot = process.env.NODE_APP_INSTANCE ?? '0';
const work_ms = Number(process.env.WORK_MS ?? 0);
const ballast = [];
let fault = {};

if (process.env.BROKEN === 'exit') {
  console.error('cannot find the database');
  process.exit(3);
}

const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://worker');
  const answer = (status, text) => res.writeHead(status, { 'x-worker': slot, 'x-pid': process.pid, 'content-type': 'text/plain' }).end(text);
  req.resume();
  switch (url.pathname) {
    case '/healthz':
      return process.env.BROKEN === 'never-ready' ? answer(503, 'not yet') : answer(200, 'ok');
    case '/_fault':
      fault = Object.fromEntries(url.searchParams);
      return answer(200, JSON.stringify(fault));
    case '/_grow':
      ballast.push(Buffer.alloc(Number(url.searchParams.get('mb')) << 20, 1));
      return answer(200, 'grown');
    default: {
      const meant = !fault.route || fault.route === url.pathname;
      const fails = meant && Math.random() < Number(fault.fail ?? 0);
      const pause = (meant && Number(fault.slow_ms ?? 0)) || work_ms;
      const last = () => (fails ? answer(500, 'a bug') : answer(200, `worker ${slot} of ${process.env.RELEASE_ID ?? 'none'}`));
      return pause ? setTimeout(last, pause) : last();
    }
  }
});

server.listen(process.env.PORT, process.env.HOST);

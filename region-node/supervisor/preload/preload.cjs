// Loaded into Node.js workers before the app (`NODE_OPTIONS=--require`). In: PORT, HOST and ATOLL_PRELOAD, the supervisor's
// socket. It does four things and stays out of sight otherwise:
//
// - the first `listen()` on a fixed TCP port listens on HOST:PORT, so an app that says `listen(3000)` needs no change;
// - HTTP servers keep idle connections for 65 s where the app left Node's 5 s, which race with a proxy's reuse;
// - on drain, idle connections close, and others after their response;
// - each second it tells how the event loop is, and it gives prom-client's metrics when it is asked for them.
//
// Whatever goes wrong in here must not concern the app: everything is caught, and nothing keeps the process alive.
'use strict';

(function preload() {
  const path = process.env.ATOLL_PRELOAD;
  const port = Number(process.env.PORT);
  let workers;
  try { workers = require('worker_threads'); } catch { /* older than worker threads */ }
  if (!path || !(port > 0) || (workers && !workers.isMainThread)) return;

  const net = require('net');
  const dns = require('dns');
  const http = require('http');
  const { errorMonitor } = require('events');
  const performance = require('perf_hooks');
  const host = process.env.HOST || '127.0.0.1';
  const servers = new Set();
  const idleOf = new WeakMap();
  let first = null; // the app's listen() that has PORT
  let draining = false;
  let socket = null;

  // --- listen -----------------------------------------------------------------------------------------------------------

  const fixed = (value) => (typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value)) ? Number(value) : 0);

  // The fixed TCP port that the arguments of listen() ask for, or 0.
  function asked([first]) {
    if (first === null || typeof first !== 'object') return fixed(first);
    return first.path === undefined && first.fd === undefined ? fixed(first.port) : 0;
  }

  // Whether they ask for it at HOST, or at no address in particular.
  function anywhere([first, second]) {
    const at = first !== null && typeof first === 'object' ? first.host : second;
    return typeof at !== 'string' || [host, 'localhost', '0.0.0.0', '::', ''].includes(at);
  }

  // The same for HOST:PORT.
  function redirected([first, ...rest]) {
    if (typeof first === 'object') return [Object.assign({}, first, { port, host }), ...rest];
    // listen(port[, host][, backlog][, callback])
    return [port, host, ...rest.filter((arg) => typeof arg !== 'string' && arg != null)];
  }

  // listen(port) is done when it returns, listen(port, host) looks the host up first; apps that ask for address() right away
  // must not notice that ours has a host. It is a number, so there is nothing to wait for.
  function listenNow(server, args) {
    const lookup = dns.lookup;
    const family = net.isIP(host);
    dns.lookup = (name, ...rest) => {
      const callback = rest.pop();
      if (name !== host) return lookup.call(dns, name, ...rest, callback);
      if (rest[0] && rest[0].all) callback(null, [{ address: host, family }]);
      else callback(null, host, family);
    };
    try { return listen.apply(server, args); } finally { dns.lookup = lookup; }
  }

  const listen = net.Server.prototype.listen;
  function patched(...args) {
    let ours = false;
    try {
      const wanted = asked(args);
      // An app that opens another port first, and then asks for PORT by name, knows what it does: the first one goes back.
      // (Fastify asks for the port that it has once more, at the other address of localhost. That is not meant.)
      if (wanted === port && first && first.wanted !== port && first.server !== this && anywhere(args)) giveBack();
      ours = wanted > 0 && !first;
      if (ours) {
        first = { server: this, args, wanted };
        // What this process starts is another program: its ports are its own.
        delete process.env.ATOLL_PRELOAD;
        attend(this);
      }
    } catch { /* as it was asked for */ }
    return ours ? listenNow(this, redirected(args)) : listen.apply(this, args);
  }
  Object.defineProperty(patched, 'name', { value: 'listen' });
  net.Server.prototype.listen = patched;

  function giveBack() {
    const { server, args } = first;
    servers.delete(server);
    first = null;
    if (!server._handle) return;
    server._handle.close();
    server._handle = null;
    // Its callback is waiting for, or has had, the event of the first time.
    listen.apply(server, args.filter((arg) => typeof arg !== 'function'));
  }

  function attend(server) {
    servers.add(server);
    if (server.keepAliveTimeout === 5000) {
      server.keepAliveTimeout = 65000;
      // Node.js before 18 counts the pause between requests as time for headers.
      if (server.headersTimeout > 0 && server.headersTimeout <= 65000) server.headersTimeout = 66000;
    }
    if (server instanceof http.Server && !server.closeIdleConnections) watchIdle(server);
    server.once('listening', () => { if (first && first.server === server) connect(); });
    // A port that was taken is the app's error to handle, so this only looks on; the app may try again.
    server.once(errorMonitor, () => {
      if (server.listening || !first || first.server !== server) return;
      first = null;
      servers.delete(server);
    });
  }

  // What Node.js can do itself since 18.2.
  function watchIdle(server) {
    const idle = new Set();
    const seen = new WeakSet();
    server.on('request', ({ socket: connection }, response) => {
      if (!seen.has(connection)) connection.once('close', () => idle.delete(connection));
      seen.add(connection);
      idle.delete(connection);
      response.once('finish', () => idle.add(connection));
    });
    idleOf.set(server, idle);
  }

  // --- what is told -----------------------------------------------------------------------------------------------------

  function connect() {
    if (socket) return;
    try {
      socket = net.connect({ path });
      socket.unref();
      socket.on('error', () => {});
      socket.on('close', () => { socket = null; });
      let text = '';
      socket.setEncoding('utf8');
      socket.on('data', (piece) => {
        const lines = (text + piece).split('\n');
        text = lines.pop().slice(-1024);
        for (const line of lines) obey(line);
      });
      say({ say: 'listening', pid: process.pid });
      report();
    } catch { /* nobody to tell */ }
  }

  function say(message) {
    // Whoever does not read gets nothing more, rather than a growing buffer.
    if (socket && !socket.destroyed && socket.writableLength < 65536) socket.write(JSON.stringify(message) + '\n');
  }

  function report() {
    const delay = performance.monitorEventLoopDelay({ resolution: 20 });
    delay.enable();
    let gc = 0;
    try {
      const observer = new performance.PerformanceObserver((list) => { for (const entry of list.getEntries()) gc += entry.duration; });
      observer.observe({ entryTypes: ['gc'] });
    } catch { /* told as 0 */ }
    const clock = performance.performance;
    let before = clock.eventLoopUtilization();
    // The histogram's samples are pauses between its own ticks: what is above their resolution is delay.
    const ms = (nanoseconds) => Math.max(0, Math.round(nanoseconds / 1e4) / 100 - 20);
    const timer = setInterval(() => {
      try {
        if (!socket) return clearInterval(timer);
        const now = clock.eventLoopUtilization();
        const memory = process.memoryUsage();
        const handles = process.getActiveResourcesInfo ? process.getActiveResourcesInfo().length : process._getActiveHandles().length;
        say({
          say: 'report',
          elu_permille: Math.round(clock.eventLoopUtilization(now, before).utilization * 1000),
          p50_ms: ms(delay.percentile(50)), p99_ms: ms(delay.percentile(99)), max_ms: ms(delay.max),
          heap_used: memory.heapUsed, heap_total: memory.heapTotal, gc_ms: Math.round(gc * 100) / 100, handles,
        });
        before = now;
        gc = 0;
        delay.reset();
      } catch { /* the next second */ }
    }, 1000);
    timer.unref();
  }

  // --- what is asked ----------------------------------------------------------------------------------------------------

  function obey(line) {
    try {
      const message = JSON.parse(line);
      if (message.do === 'drain') drain();
      if (message.do === 'metrics') metrics();
    } catch { /* not for us */ }
  }

  function drain() {
    if (draining) return;
    draining = true;
    for (const server of servers) {
      if (!server.closeIdleConnections && !idleOf.has(server)) continue;
      server.prependListener('request', (_, response) => {
        if (response.shouldKeepAlive !== undefined) response.shouldKeepAlive = false;
      });
      if (server.closeIdleConnections) server.closeIdleConnections();
      else for (const connection of idleOf.get(server) || []) connection.end();
    }
  }

  function metrics() {
    const answer = (text) => say({ say: 'metrics', text: text.length < 900000 ? text : '# more metrics than fit\n' });
    const cache = require.cache || {};
    const name = Object.keys(cache).find((file) => /[\\/]prom-client[\\/]index\.c?js$/.test(file));
    const client = name && cache[name].exports;
    if (!client || !client.register) return answer('');
    Promise.resolve().then(() => client.register.metrics()).then((text) => answer(String(text)), () => answer(''));
  }
})();

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
  const http = require('http');
  const { errorMonitor } = require('events');
  const performance = require('perf_hooks');
  const host = process.env.HOST || '127.0.0.1';
  const servers = new Set();
  const idleOf = new WeakMap();
  let taken = false; // the app's listen() has been seen
  let draining = false;
  let socket = null;

  // --- listen -----------------------------------------------------------------------------------------------------------

  // The arguments of listen() for HOST:PORT, or null where they do not ask for a fixed TCP port.
  function redirected(args) {
    const first = args[0];
    const fixed = (value) => (typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value))) && Number(value) > 0;
    if (fixed(first)) {
      // listen(port[, host][, backlog][, callback])
      const rest = args.slice(1).filter((arg) => typeof arg !== 'string' && arg != null);
      return [port, host, ...rest];
    }
    if (first !== null && typeof first === 'object' && fixed(first.port) && first.path === undefined && first.fd === undefined) {
      return [Object.assign({}, first, { port, host }), ...args.slice(1)];
    }
    return null;
  }

  const listen = net.Server.prototype.listen;
  function patched(...args) {
    let now = args;
    try {
      const ours = taken ? null : redirected(args);
      if (ours) {
        taken = true;
        now = ours;
        // What this process starts is another program: its ports are its own.
        delete process.env.ATOLL_PRELOAD;
        attend(this);
      }
    } catch { now = args; }
    return listen.apply(this, now);
  }
  Object.defineProperty(patched, 'name', { value: 'listen' });
  net.Server.prototype.listen = patched;

  function attend(server) {
    servers.add(server);
    if (server.keepAliveTimeout === 5000) {
      server.keepAliveTimeout = 65000;
      // Node.js before 18 counts the pause between requests as time for headers.
      if (server.headersTimeout > 0 && server.headersTimeout <= 65000) server.headersTimeout = 66000;
    }
    if (server instanceof http.Server && !server.closeIdleConnections) watchIdle(server);
    server.once('listening', () => connect());
    // A port that was taken is the app's error to handle, so this only looks on; the app may try again.
    server.once(errorMonitor, () => { if (!server.listening) { taken = false; servers.delete(server); } });
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

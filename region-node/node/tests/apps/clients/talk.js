// What the clients share: requests over one socket each, and a transcript of what users and their programs can tell apart.
//
// A client is run twice, `node clients/NAME.js URL`: with the address of the worker, and with that of the gateway. What it prints
// must be the same both times. It prints nothing that has to differ: dates, ports, what identifies a session.
const http = require('node:http');

const target = new URL(process.argv[2]);

// Headers that a proxy adds, or that tell a time.
const IGNORED = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding', 'x-request-id', 'via']);

class Jar {
  #cookies = new Map();
  take(headers) {
    for (const line of headers['set-cookie'] ?? []) {
      const [pair] = line.split(';');
      this.#cookies.set(pair.slice(0, pair.indexOf('=')), pair);
    }
  }
  header() {
    return this.#cookies.size ? { cookie: [...this.#cookies.values()].join('; ') } : {};
  }
}

function say(...words) {
  console.log(words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' '));
}

// Header lines as the app sent them, without what belongs to one hop.
function headersThatMatter(headers) {
  const lines = Object.entries(headers).filter(([name]) => !IGNORED.has(name) && !name.startsWith('atoll-') && !name.startsWith('x-atoll-'));
  return Object.fromEntries(lines.map(([name, value]) => [name, name === 'set-cookie' ? cookies(value) : value]).filter(([, value]) => value.length > 0).sort());
}

// Names and attributes; a value is a secret that differs.
function cookies(lines) {
  return lines.filter((line) => !line.startsWith('atoll-')).map((line) => line.replace(/=[^;]*/, '=…'));
}

function open(method, path, { headers = {}, agent } = {}) {
  return http.request({ host: target.hostname, port: target.port, method, path, headers, agent });
}

// Sends a request, resolves with the answer's head; its body is still to be read.
function send(method, path, { headers = {}, body, jar, agent } = {}) {
  return new Promise((resolve, reject) => {
    const request = open(method, path, { headers: { ...headers, ...jar?.header() }, agent });
    request.once('response', (response) => {
      jar?.take(response.headers);
      resolve(response);
    });
    request.once('error', reject);
    if (body && typeof body.pipe === 'function') body.pipe(request);
    else request.end(body);
  });
}

async function all(response) {
  const pieces = [];
  for await (const piece of response) pieces.push(piece);
  return Buffer.concat(pieces);
}

// Asks and tells the transcript what came.
async function ask(method, path, options = {}) {
  const response = await send(method, path, options);
  const body = await all(response);
  const shown = body.length > 300 ? `${body.length} bytes, sha256 ${sha256(body)}` : body.toString();
  say(method, path, '→', response.statusCode, headersThatMatter(response.headers), shown);
  return { status: response.statusCode, headers: response.headers, body };
}

function sha256(bytes) {
  return require('node:crypto').createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

// Ends the client when the talk is over, or fails. Nothing here takes long unless it hangs.
function run(talk) {
  const timer = setTimeout(() => fail(new Error('the client did not come to its end within 60 s')), 60_000);
  const fail = (error) => {
    console.error(error);
    process.exit(1);
  };
  talk().then(() => {
    clearTimeout(timer);
    process.exit(0);
  }, fail);
}

module.exports = { Jar, all, ask, headersThatMatter, open, run, say, send, sha256, target };

// One event loop and a pooled client: every request and every call on the same thread.
//
// node.js PORT BACKEND_PORT VARIANT [--no-timer]: see tests/src/truth.rs.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');

const [port, backend, variant, noTimer] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });
const CALLS = {
  keep: [['GET', '/kept']],
  drop: [['GET', '/dropped']],
  fan: [['GET', '/a'], ['GET', '/b'], ['GET', '/c']],
  late: [['POST', '/after']],
  none: [],
};
const BROKEN = ['/dropped', '/b', '/after'];

/** The headers of a call to a path that is made because of a request with these headers. */
function outgoing(path, received) {
  const headers = {};
  if (variant === 'healthy' || (variant === 'broken' && !BROKEN.includes(path))) {
    if (received.traceparent) {
      const [version, trace, , flags] = received.traceparent.split('-');
      headers.traceparent = [version, trace, crypto.randomBytes(8).toString('hex'), flags].join('-');
    }
    if (received.tracestate) headers.tracestate = received.tracestate;
  }
  if (variant === 'affine') {
    for (const name of ['x-request-id', 'authorization']) if (received[name]) headers[name] = received[name];
  }
  return headers;
}

/** Makes a call and tells the truth about it. */
function call(id, method, path, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port: backend, method, path, agent, headers }, (response) => {
      process.stdout.write(`${id} ${response.headers['x-call']}\n`);
      response.resume().on('end', resolve);
    });
    request.on('error', reject).end(method === 'POST' ? '{}' : undefined);
  });
}

const server = http.createServer(async (request, response) => {
  request.resume();
  const [path, query] = request.url.split('?');
  const [, route, id] = path.split('/');
  const work = () =>
    Promise.all(CALLS[route].map(([method, to]) => call(id, method, `${to}?${query}`, outgoing(to, request.headers))));
  const answer = (status) => response.writeHead(status, { 'Content-Length': 3 }).end('ok\n');
  if (route === 'late') {
    answer(202);
    setTimeout(work, 2 + 6 * Math.random());
  } else {
    await work();
    answer(200);
  }
});
// Clients may be slow to ask again; a connection that closes under their hands is not what is tested.
server.keepAliveTimeout = 60_000;

async function timer() {
  await call('-', 'GET', '/config', {});
  setTimeout(timer, 50 + 300 * Math.random());
}

server.listen(Number(port), '127.0.0.1', 128, () => {
  process.stdout.write(`listening ${server.address().port}\n`);
  if (!noTimer) setTimeout(timer, 50 + 300 * Math.random());
});
process.stdin.resume().on('end', () => process.exit(0));

// An HTTP service as Node people write them: one event loop, a call to a backend for every request.
//
// server.js {forward|drop} {http|fetch} BACKEND_PORT
// Prints "listening ADDR" and ends when its standard input does.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');

const [mode, client, backend] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

/** The headers of a call that is made because of a request. */
function outgoing(received) {
  if (!received || mode === 'drop') return {};
  const [version, trace, , flags] = received.split('-');
  return { traceparent: [version, trace, crypto.randomBytes(8).toString('hex'), flags].join('-') };
}

function callHttp(headers) {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: backend, method: 'POST', path: '/charge', agent, headers };
    const request = http.request(options, (response) => response.resume().on('end', resolve));
    request.on('error', reject).end('{}');
  });
}

async function callFetch(headers) {
  const response = await fetch(`http://127.0.0.1:${backend}/charge`, { method: 'POST', body: '{}', headers });
  await response.arrayBuffer();
}

const call = { http: callHttp, fetch: callFetch }[client];

const server = http.createServer((request, response) => {
  request.resume();
  call(outgoing(request.headers.traceparent)).then(
    () => response.end('ok\n'),
    (error) => {
      console.error(error);
      response.writeHead(502).end();
    },
  );
});

server.listen(0, '127.0.0.1', 128, () => console.log(`listening 127.0.0.1:${server.address().port}`));
process.stdin.resume().on('end', () => process.exit(0));

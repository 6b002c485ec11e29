// A service that answers HTTP/1, HTTP/1 in TLS, HTTP/2, and the messages of a WebSocket (as far as
// they need to be understood here), on one port, in one event loop, and its clients.
//
// unseen.js serve BACKEND_PORT CERTIFICATE KEY
//     Prints "listening ADDR" and ends when its standard input does. GET /page takes a while; for GET /session the backend
//     is called, with the context that came with it, if any, unchanged.
// unseen.js ask PORT {tls|http2|http2-later|messages|messages-later} {none|own|broken} ROUNDS
//     The connection is there before it prints "listening 127.0.0.1:0", or later; what comes then begins with a line on its
//     standard input. Every round is a request for /page, with a trace, and while that is open one for /session on the
//     other connection, with such a context. It says "listening" once more at the end.
const crypto = require("crypto");
const fs = require("fs");
const http = require("http");
const http2 = require("http2");
const https = require("https");
const net = require("net");
const { once } = require("events");

const [mode, port, ...options] = process.argv.slice(2);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const traceparent = () => `00-${crypto.randomBytes(16).toString("hex")}-${crypto.randomBytes(8).toString("hex")}-01`;

function serve(certificate, key) {
  const agent = new http.Agent({ keepAlive: true });
  const feed = async (context) => {
    const headers = context ? { traceparent: context } : {};
    const call = http.get({ port, path: "/feed", agent, headers });
    const [answered] = await once(call, "response");
    await once(answered.resume(), "end");
  };
  const answer = async (request, response) => {
    await (request.url === "/page" ? pause(30) : feed(request.headers.traceparent));
    response.end("ok\n");
  };
  const tls = https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, answer);
  const servers = { 0x16: tls, [Buffer.from("P")[0]]: http2.createServer(answer) };
  const plain = http.createServer(answer).on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.on("data", async (message) => {
      // The mask is 0.
      await feed(message.subarray(6).toString());
      socket.write("ok");
    });
  });
  // However long it takes until somebody asks.
  plain.keepAliveTimeout = tls.keepAliveTimeout = 60_000;
  const server = net.createServer((socket) => {
    socket.once("data", (first) => {
      socket.pause();
      socket.unshift(first);
      (servers[first[0]] ?? plain).emit("connection", socket);
      process.nextTick(() => socket.resume());
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(`listening 127.0.0.1:${server.address().port}`));
  process.stdin.on("end", () => process.exit()).resume();
}

function secure() {
  const agent = new https.Agent({ keepAlive: true, rejectUnauthorized: false });
  return async (headers) => {
    const [response] = await once(https.get({ port, path: "/session", agent, headers }), "response");
    await once(response.resume(), "end");
  };
}

function multiplexed() {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  return async (headers) => {
    const stream = session.request({ ":path": "/session", ...headers });
    await once(stream.resume(), "end");
  };
}

function messages() {
  const request = http.get({ port, headers: { connection: "upgrade", upgrade: "websocket" } });
  const upgraded = once(request, "upgrade");
  return async (headers) => {
    const [, socket] = await upgraded;
    const text = Buffer.from(headers.traceparent ?? "");
    socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]));
    await once(socket, "data");
  };
}

async function ask(protocol, context, rounds) {
  const agent = new http.Agent({ keepAlive: true });
  const contexts = {
    none: () => ({}),
    own: () => ({ traceparent: traceparent() }),
    broken: () => ({ traceparent: traceparent().toUpperCase() }),
  };
  const [name] = protocol.split("-");
  const connect = { tls: secure, http2: multiplexed, messages }[name];
  let session = protocol.endsWith("later") ? undefined : connect();
  await session?.({});
  console.log("listening 127.0.0.1:0");
  await once(process.stdin, "data");
  session ??= connect();
  for (let round = 0; round < rounds; round += 1) {
    // It may be answered before the other one is.
    const page = once(http.get({ port, path: "/page", agent, headers: { traceparent: traceparent() } }), "response");
    await pause(5);
    await session(contexts[context]());
    const [response] = await page;
    await once(response.resume(), "end");
    await pause(10 + Math.random() * 30);
  }
  console.log("listening 127.0.0.1:0");
  process.stdin.on("end", () => process.exit()).resume();
}

if (mode === "serve") serve(...options);
else ask(options[0], options[1], Number(options[2]));

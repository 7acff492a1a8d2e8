// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// An echo peer on Node's tls, which is asked as Peer.java is: each line of its input
// asks for one connection, in fields that a tab separates,
//
//   role port suite alpn mutual certificate key algorithm authority
//
// It prints "port N" as a server, and at the end "ok SUITE PROTOCOL" or "failed" and
// why.

import fs from 'node:fs';
import readline from 'node:readline';
import tls from 'node:tls';

function options(f) {
  const o = {
    minVersion: 'TLSv1.3', ciphers: f.suite, ca: fs.readFileSync(f.authority), allowHalfOpen: true,
  };
  if (f.certificate) {
    o.cert = fs.readFileSync(f.certificate);
    o.key = fs.readFileSync(f.key);
  }
  if (f.alpn) o.ALPNProtocols = ['not/this', f.alpn];
  return o;
}

// echo returns what comes until the other side closes, and closes too.
function echo(socket) {
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve(`${socket.suite} ${socket.alpnProtocol || ''}`));
    socket.suite = socket.getCipher().standardName;
    socket.pipe(socket);
  });
}

function client(f) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ ...options(f), host: '127.0.0.1', port: f.port, servername: 'localhost' });
    socket.on('error', reject);
    socket.on('secureConnect', () => echo(socket).then(resolve, reject));
  });
}

function server(f) {
  return new Promise((resolve, reject) => {
    const mutual = f.mutual === 'true';
    const listener = tls.createServer({ ...options(f), requestCert: mutual, rejectUnauthorized: mutual });
    listener.on('tlsClientError', reject);
    listener.on('secureConnection', (socket) => {
      listener.close();
      echo(socket).then(resolve, reject);
    });
    listener.listen(0, '127.0.0.1', () => console.log(`port ${listener.address().port}`));
  });
}

console.log('ready');
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [role, port, suite, alpn, mutual, certificate, key, , authority] = line.split('\t');
  const f = { port: Number(port), suite, alpn, mutual, certificate, key, authority };
  try {
    console.log(`ok ${await (role === 'server' ? server(f) : client(f))}`);
  } catch (e) {
    console.log(`failed ${e}`);
  }
}

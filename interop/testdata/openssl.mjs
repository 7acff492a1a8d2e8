// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// An echo peer on the OpenSSL that Node.js has in it, called by its C functions, which
// koffi reaches: Node's own tls knows no raw public keys. It is asked as Peer.java is,
// each line of its input for one connection, in fields that a tab separates,
//
//   role port suite alpn mutual certificate key algorithm authority
//
// without ALPN. A certificate may be a raw public key (RFC 7250), and so may the
// authority: then it is the one key that the other side must show.
//
// It prints "port N" as a server, and at the end "ok SUITE" or "failed" and why. With
// an argument it prints the version of OpenSSL, and ends.

import fs from 'node:fs';
import net from 'node:net';
import readline from 'node:readline';
import { createRequire } from 'node:module';

const koffi = createRequire(process.execPath)('koffi'); // beside that Node.js
const c = Object.fromEntries(`
  const char *OpenSSL_version(int)
  unsigned long ERR_get_error()
  void ERR_error_string_n(unsigned long, _Out_ uint8_t *, size_t)
  void *TLS_method()
  void *SSL_CTX_new(void *)
  void SSL_CTX_free(void *)
  long SSL_CTX_ctrl(void *, int, long, void *)
  int SSL_CTX_set_ciphersuites(void *, const char *)
  int SSL_CTX_use_certificate_chain_file(void *, const char *)
  int SSL_CTX_use_PrivateKey_file(void *, const char *, int)
  int SSL_CTX_load_verify_locations(void *, const char *, const char *)
  void SSL_CTX_set_verify(void *, int, void *)
  int SSL_CTX_dane_enable(void *)
  void *SSL_new(void *)
  void SSL_free(void *)
  long SSL_ctrl(void *, int, long, const char *)
  int SSL_set1_host(void *, const char *)
  int SSL_set1_client_cert_type(void *, const uint8_t *, size_t)
  int SSL_set1_server_cert_type(void *, const uint8_t *, size_t)
  int SSL_dane_enable(void *, const char *)
  int SSL_add_expected_rpk(void *, void *)
  void *SSL_get0_peer_rpk(void *)
  void SSL_set_bio(void *, void *, void *)
  void SSL_set_connect_state(void *)
  void SSL_set_accept_state(void *)
  int SSL_do_handshake(void *)
  int SSL_is_init_finished(void *)
  int SSL_read(void *, _Out_ uint8_t *, int)
  int SSL_write(void *, const uint8_t *, int)
  int SSL_shutdown(void *)
  int SSL_get_error(void *, int)
  void *SSL_get_current_cipher(void *)
  const char *SSL_CIPHER_standard_name(void *)
  void *BIO_s_mem()
  void *BIO_new(void *)
  void *BIO_new_mem_buf(const uint8_t *, int)
  int BIO_free(void *)
  int BIO_read(void *, _Out_ uint8_t *, int)
  int BIO_write(void *, const uint8_t *, int)
  void *PEM_read_bio_PUBKEY(void *, void *, void *, void *)
  void EVP_PKEY_free(void *)
`.trim().split('\n').map((line) => {
  const f = koffi.load(null).func(line.trim());
  return [line.match(/(\w+)\(/)[1], f];
}));

// The numbers of OpenSSL's headers.
const MIN_PROTO_VERSION = 123, TLSEXT_HOSTNAME = 55, TLS13 = 0x0304, PEM = 1;
const VERIFY_PEER = 1, VERIFY_FAIL_IF_NO_PEER_CERT = 2;
const ERROR_WANT_READ = 2, ERROR_ZERO_RETURN = 6;
const rawKey = new Uint8Array([2]); // TLSEXT_cert_type_rpk

function must(ok, what) {
  if (ok > 0) return ok; // a pointer is a number too
  const text = new Uint8Array(256);
  c.ERR_error_string_n(c.ERR_get_error(), text, text.length);
  throw new Error(`${what}: ${Buffer.from(text).toString().split('\0')[0]}`);
}

const isRaw = (file) => file !== '' && fs.readFileSync(file, 'latin1').includes('BEGIN PUBLIC KEY');

function newContext(f) {
  const ctx = must(c.SSL_CTX_new(c.TLS_method()), 'SSL_CTX_new');
  must(c.SSL_CTX_ctrl(ctx, MIN_PROTO_VERSION, TLS13, null), 'the version');
  must(c.SSL_CTX_set_ciphersuites(ctx, f.suite), 'the suite');
  must(c.SSL_CTX_dane_enable(ctx), 'SSL_CTX_dane_enable');
  if (f.certificate) {
    // The certificate that stands beside a raw key is not shown. But a server of OpenSSL
    // 3.5.3 without one follows a null pointer where its client sends
    // signature_algorithms_cert.
    const chain = isRaw(f.certificate) ? f.certificate.replace(/\.pub$/, '.pem') : f.certificate;
    must(c.SSL_CTX_use_certificate_chain_file(ctx, chain), 'the certificate');
    must(c.SSL_CTX_use_PrivateKey_file(ctx, f.key, PEM), 'the key');
  }
  if (!isRaw(f.authority)) must(c.SSL_CTX_load_verify_locations(ctx, f.authority, null), 'the authority');
  if (!f.server || f.mutual) c.SSL_CTX_set_verify(ctx, VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT, null);
  return ctx;
}

// newConnection says which keys are raw, and whose the other side must show.
function newConnection(ctx, f) {
  const ssl = must(c.SSL_new(ctx), 'SSL_new');
  const [ours, theirs] = f.server
    ? [c.SSL_set1_server_cert_type, c.SSL_set1_client_cert_type]
    : [c.SSL_set1_client_cert_type, c.SSL_set1_server_cert_type];
  if (isRaw(f.certificate)) must(ours(ssl, rawKey, 1), 'the type of our key');
  if (isRaw(f.authority)) {
    must(theirs(ssl, rawKey, 1), 'the type of their key');
    must(c.SSL_dane_enable(ssl, null), 'SSL_dane_enable');
    const pem = fs.readFileSync(f.authority);
    const bio = must(c.BIO_new_mem_buf(pem, pem.length), 'BIO_new_mem_buf');
    const key = must(c.PEM_read_bio_PUBKEY(bio, null, null, null), 'their key');
    must(c.SSL_add_expected_rpk(ssl, key), 'SSL_add_expected_rpk');
    c.EVP_PKEY_free(key);
    c.BIO_free(bio);
  } else if (!f.server) {
    must(c.SSL_set1_host(ssl, 'localhost'), 'the name');
  }
  if (f.server) {
    c.SSL_set_accept_state(ssl);
  } else {
    must(c.SSL_ctrl(ssl, TLSEXT_HOSTNAME, 0, 'localhost'), 'server_name');
    c.SSL_set_connect_state(ssl);
  }
  return ssl;
}

// echo returns what comes until the other side closes, and closes too. OpenSSL reads
// and writes memory; what goes to the socket is taken from there.
function echo(socket, f) {
  return new Promise((resolve, reject) => {
    const ctx = newContext(f), ssl = newConnection(ctx, f);
    const input = c.BIO_new(c.BIO_s_mem()), output = c.BIO_new(c.BIO_s_mem());
    c.SSL_set_bio(ssl, input, output);
    const buffer = Buffer.alloc(1 << 14);
    let done = false;

    const flush = () => {
      for (let n; (n = c.BIO_read(output, buffer, buffer.length)) > 0;) {
        socket.write(Buffer.from(buffer.subarray(0, n)));
      }
    };
    const end = (settle, what) => {
      if (done) return;
      done = true;
      flush();
      socket.end();
      settle(what);
      c.SSL_free(ssl);
      c.SSL_CTX_free(ctx);
    };
    const turn = () => {
      if (!c.SSL_is_init_finished(ssl)) {
        const n = c.SSL_do_handshake(ssl);
        if (n !== 1) return c.SSL_get_error(ssl, n) === ERROR_WANT_READ || must(0, 'the handshake');
        if (isRaw(f.authority) && (!f.server || f.mutual)) must(c.SSL_get0_peer_rpk(ssl), 'no raw key came');
      }
      for (let n; ;) {
        if ((n = c.SSL_read(ssl, buffer, buffer.length)) > 0) {
          must(c.SSL_write(ssl, buffer, n), 'SSL_write');
          continue;
        }
        const error = c.SSL_get_error(ssl, n);
        if (error === ERROR_WANT_READ) return;
        if (error !== ERROR_ZERO_RETURN) must(0, 'SSL_read');
        c.SSL_shutdown(ssl);
        return end(resolve, c.SSL_CIPHER_standard_name(c.SSL_get_current_cipher(ssl)));
      }
    };
    const step = (data) => {
      if (done) return;
      try {
        if (data) must(c.BIO_write(input, data, data.length), 'BIO_write');
        turn();
        if (!done) flush();
      } catch (e) {
        end(reject, e);
      }
    };
    socket.on('data', step);
    socket.on('error', (e) => end(reject, e));
    socket.on('close', () => end(reject, new Error('the connection was cut')));
    step();
  });
}

function client(f) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port: f.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', reject);
    socket.on('connect', () => echo(socket, f).then(resolve, reject));
  });
}

function server(f) {
  return new Promise((resolve, reject) => {
    const listener = net.createServer({ allowHalfOpen: true }, (socket) => {
      listener.close();
      echo(socket, f).then(resolve, reject);
    });
    listener.listen(0, '127.0.0.1', () => console.log(`port ${listener.address().port}`));
  });
}

if (process.argv.length > 2) {
  console.log(c.OpenSSL_version(0));
  process.exit();
}
console.log('ready');
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [role, port, suite, , mutual, certificate, key, , authority] = line.split('\t');
  const f = { server: role === 'server', port: Number(port), suite, mutual: mutual === 'true', certificate, key, authority };
  try {
    console.log(`ok ${await (f.server ? server(f) : client(f))}`);
  } catch (e) {
    console.log(`failed ${e}`);
  }
}

# Copyright 2026 The mayfly Authors. All rights reserved.
# Use of this source code is governed by a BSD-style
# license that can be found in the LICENSE file.

"""An echo peer on Python's ssl, which is asked as Peer.java is.

Each line of its input asks for one connection, in fields that a tab separates:

    role port suite alpn mutual certificate key algorithm authority

It prints "port N" as a server, and at the end "ok SUITE PROTOCOL" or "failed" and
why. Python chooses no suites of TLS 1.3: the other side does.
"""

import socket
import ssl
import sys

PATIENCE = 30


def serve(role, port, _suite, alpn, mutual, certificate, key, _algorithm, authority):
    server = role == "server"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(authority)
    if certificate:
        context.load_cert_chain(certificate, key)
    if server and mutual == "true":
        context.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        context.set_alpn_protocols(["not/this", alpn])
    if not server:
        with socket.create_connection(("127.0.0.1", int(port)), PATIENCE) as inner:
            return echo(context.wrap_socket(inner, server_hostname="localhost", suppress_ragged_eofs=False))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        print("port", listener.getsockname()[1], flush=True)
        inner, _ = listener.accept()
    with inner:
        inner.settimeout(PATIENCE)
        return echo(context.wrap_socket(inner, server_side=True, suppress_ragged_eofs=False))


def echo(conn):
    """Returns what comes until the other side closes, and closes too."""
    with conn:
        while data := conn.recv(1 << 15):
            conn.sendall(data)
        result = f"{conn.cipher()[0]} {conn.selected_alpn_protocol() or ''}"
        conn.unwrap().close()
        return result


print("ready", flush=True)
for line in sys.stdin:
    try:
        print("ok", serve(*line.rstrip("\n").split("\t")), flush=True)
    except Exception as e:  # whatever it is, the asker wants to know
        print("failed", repr(e), flush=True)

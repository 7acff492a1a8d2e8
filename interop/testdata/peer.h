/* Copyright 2026 The mayfly Authors. All rights reserved.
 * Use of this source code is governed by a BSD-style
 * license that can be found in the LICENSE file.
 *
 * What the echo peers in C have in common. At first a peer prints "ready" and the version
 * of its library. Then each line of its input asks for one connection, in fields that a
 * tab separates:
 *
 *     role port suite alpn mutual certificate key algorithm authority
 *
 * As a server it prints "port N" and accepts once; as a client it connects to the port.
 * It returns what it gets until the other side closes, closes too, and prints
 * "ok SUITE PROTOCOL" or "failed" and why.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_SECONDS 30
#define NAME "localhost" /* of the server */

struct request {
	int server;
	int port;
	const char *suite;
	const char *alpn; /* NULL: none */
	int mutual;
	const char *cert, *key; /* files; NULL: none */
	const char *authority;
};

/* setup is told the program's arguments, and returns the version of the library. */
static const char *setup(int argc, char **argv);

/* serve makes the connection over a socket. */
static void serve(const struct request *r, int fd);

/* answer prints what came of a connection, and for people on standard error, too. */
static void answer(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	printf("%s\n", text);
	fflush(stdout);
	fprintf(stderr, "%s\n", text);
}

static const char *field(char **rest)
{
	const char *f = strsep(rest, "\t");
	return f != NULL && *f != '\0' ? f : NULL;
}

/* transport connects or accepts. It returns a negative number on failure. */
static int transport(const struct request *r)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
	socklen_t len = sizeof addr;
	int one = 1, conn, fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(r->port);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
		return -1;
	if (!r->server) {
		conn = connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0 ? fd : -1;
	} else {
		if (bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(fd, 1) != 0 ||
		    getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
			return -1;
		answer("port %d", ntohs(addr.sin_port));
		conn = accept(fd, NULL, NULL);
		close(fd);
	}
	if (conn >= 0 && (setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
			  setsockopt(conn, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
			  setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)) {
		close(conn);
		return -1;
	}
	return conn;
}

int main(int argc, char **argv)
{
	static char line[1 << 16];

	signal(SIGPIPE, SIG_IGN);
	answer("ready %s", setup(argc, argv));
	while (fgets(line, sizeof line, stdin) != NULL) {
		struct request r = {0};
		char *rest = line;
		const char *f;
		int fd;

		line[strcspn(line, "\n")] = '\0';
		f = field(&rest);
		r.server = f != NULL && strcmp(f, "server") == 0;
		f = field(&rest);
		r.port = f != NULL ? atoi(f) : 0;
		r.suite = field(&rest);
		r.alpn = field(&rest);
		f = field(&rest);
		r.mutual = f != NULL && strcmp(f, "true") == 0;
		r.cert = field(&rest);
		r.key = field(&rest);
		field(&rest); /* the algorithm, which the key names too */
		r.authority = field(&rest);
		fd = transport(&r);
		if (fd < 0) {
			answer("failed no connection");
			continue;
		}
		serve(&r, fd);
		close(fd);
	}
	return 0;
}

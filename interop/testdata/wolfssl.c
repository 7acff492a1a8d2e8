/* Copyright 2026 The mayfly Authors. All rights reserved.
 * Use of this source code is governed by a BSD-style
 * license that can be found in the LICENSE file.
 *
 * An echo peer on wolfSSL: see peer.h. Its arguments are modes:
 *
 *     resume   the client resumes its last session
 *     rekey    it changes its keys after every 256 KiB
 */
#include "peer.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#define REKEY_BYTES (256 << 10)

static WOLFSSL_CTX *contexts[2]; /* of the client and the server, made for the first request */
static WOLFSSL_SESSION *session;
static int resume, rekey;

static const struct suite {
	unsigned id;
	const char *name, *wolf;
} suites[] = {
	{0x1301, "TLS_AES_128_GCM_SHA256", "TLS13-AES128-GCM-SHA256"},
	{0x1302, "TLS_AES_256_GCM_SHA384", "TLS13-AES256-GCM-SHA384"},
	{0x1303, "TLS_CHACHA20_POLY1305_SHA256", "TLS13-CHACHA20-POLY1305-SHA256"},
};
#define SUITES (sizeof suites / sizeof suites[0])

static const char *setup(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "resume") == 0) {
			resume = 1;
		} else if (strcmp(argv[i], "rekey") == 0) {
			rekey = 1;
		} else {
			fprintf(stderr, "wolfssl: unknown mode %s\n", argv[i]);
			exit(2);
		}
	}
	if (wolfSSL_Init() != WOLFSSL_SUCCESS) {
		fprintf(stderr, "wolfssl: no library\n");
		exit(2);
	}
	return wolfSSL_lib_version();
}

/* configure returns a context, or NULL and why. Its sessions outlast a connection where
 * they are resumed. */
static WOLFSSL_CTX *configure(const struct request *r, const char **why)
{
	WOLFSSL_CTX *ctx = contexts[r->server];
	int verify = !r->server ? WOLFSSL_VERIFY_PEER
		     : r->mutual ? WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT
				 : WOLFSSL_VERIFY_NONE;
	size_t i;

	if (ctx != NULL && resume)
		return ctx;
	wolfSSL_CTX_free(ctx);
	contexts[r->server] = ctx = wolfSSL_CTX_new(r->server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method());
	if (ctx == NULL) {
		*why = "no context";
		return NULL;
	}
	wolfSSL_CTX_set_verify(ctx, verify, NULL);
	for (i = 0; i < SUITES; i++)
		if (strcmp(suites[i].name, r->suite) == 0 && wolfSSL_CTX_set_cipher_list(ctx, suites[i].wolf) != WOLFSSL_SUCCESS)
			*why = "the suite";
	if (r->authority != NULL && wolfSSL_CTX_load_verify_locations(ctx, r->authority, NULL) != WOLFSSL_SUCCESS)
		*why = "the authority";
	if (r->cert != NULL && (wolfSSL_CTX_use_certificate_file(ctx, r->cert, WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS ||
				wolfSSL_CTX_use_PrivateKey_file(ctx, r->key, WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS))
		*why = "the certificate or its key";
	return *why == NULL ? ctx : NULL;
}

/* echo returns WOLFSSL_SUCCESS, or what wolfSSL_get_error explains. */
static int echo(WOLFSSL *ssl)
{
	static unsigned char buffer[1 << 14];
	int n, sent = 0;

	while ((n = wolfSSL_read(ssl, buffer, sizeof buffer)) > 0) {
		int k = wolfSSL_write(ssl, buffer, n);
		if (k != n)
			return k;
		sent += n;
		if (rekey && sent >= REKEY_BYTES) {
			sent = 0;
			if ((k = wolfSSL_update_keys(ssl)) != WOLFSSL_SUCCESS)
				return k;
		}
	}
	if (wolfSSL_get_error(ssl, n) != WOLFSSL_ERROR_ZERO_RETURN)
		return n;
	if (resume) {
		wolfSSL_SESSION_free(session);
		session = wolfSSL_get1_session(ssl);
	}
	n = wolfSSL_shutdown(ssl);
	return n < 0 ? n : WOLFSSL_SUCCESS;
}

static void serve(const struct request *r, int fd)
{
	const char *why = NULL, *suite = "";
	char *protocol = NULL;
	unsigned short protocol_len = 0;
	WOLFSSL_CTX *ctx = configure(r, &why);
	WOLFSSL *ssl = ctx != NULL ? wolfSSL_new(ctx) : NULL;
	char protocols[200], agreed[200] = "", text[WOLFSSL_MAX_ERROR_SZ];
	size_t i;
	int err;

	if (ssl == NULL) {
		answer("failed %s", why != NULL ? why : "no connection");
		return;
	}
	if (!r->server && (wolfSSL_check_domain_name(ssl, NAME) != WOLFSSL_SUCCESS ||
			   wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, NAME, strlen(NAME)) != WOLFSSL_SUCCESS ||
			   (session != NULL && wolfSSL_set_session(ssl, session) != WOLFSSL_SUCCESS)))
		why = "the name or the session";
	if (r->alpn != NULL) {
		int n = snprintf(protocols, sizeof protocols, "not/this,%s", r->alpn);
		if (wolfSSL_UseALPN(ssl, protocols, n, WOLFSSL_ALPN_FAILED_ON_MISMATCH) != WOLFSSL_SUCCESS)
			why = "the protocol";
	}
	wolfSSL_set_fd(ssl, fd);
	err = r->server ? wolfSSL_accept(ssl) : wolfSSL_connect(ssl);
	if (err == WOLFSSL_SUCCESS) {
		/* It is gone when data have come. */
		if (r->alpn != NULL && wolfSSL_ALPN_GetProtocol(ssl, &protocol, &protocol_len) == WOLFSSL_SUCCESS)
			snprintf(agreed, sizeof agreed, "%.*s", protocol_len, protocol);
		err = echo(ssl);
	}
	if (why != NULL) {
		answer("failed %s", why);
	} else if (err != WOLFSSL_SUCCESS) {
		err = wolfSSL_get_error(ssl, err);
		answer("failed %d %s", err, wolfSSL_ERR_error_string(err, text));
	} else {
		for (i = 0; i < SUITES; i++)
			if (suites[i].id == (unsigned)wolfSSL_get_current_cipher_suite(ssl))
				suite = suites[i].name;
		answer("ok %s %s", suite, agreed);
	}
	wolfSSL_free(ssl);
}

/* Copyright 2026 The mayfly Authors. All rights reserved.
 * Use of this source code is governed by a BSD-style
 * license that can be found in the LICENSE file.
 *
 * An echo peer on Mbed TLS 3.6: see peer.h. Its arguments are modes:
 *
 *     resume             the client resumes its last session, the server issues tickets
 *     ephemeral          no PSK key exchange modes, and so no tickets
 *     psk HEX IDENTITY   a pre-shared key, and no certificates
 */
#include "peer.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/version.h>
#include <psa/crypto.h>

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context rng;
static mbedtls_ssl_ticket_context tickets;
static mbedtls_ssl_session session;
static int resume, ephemeral, has_session;
static const char *psk_identity;
static unsigned char psk[64];
static size_t psk_len;

static const struct suite {
	int id;
	const char *name;
} suites[] = {
	{MBEDTLS_TLS1_3_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"},
	{MBEDTLS_TLS1_3_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"},
	{MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"},
};
#define SUITES (sizeof suites / sizeof suites[0])

static const char *setup(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "resume") == 0) {
			resume = 1;
		} else if (strcmp(argv[i], "ephemeral") == 0) {
			ephemeral = 1;
		} else if (strcmp(argv[i], "psk") == 0 && i + 2 < argc) {
			const char *hex = argv[++i];
			unsigned byte;
			for (; psk_len < sizeof psk && sscanf(hex, "%2x", &byte) == 1; hex += 2)
				psk[psk_len++] = byte;
			psk_identity = argv[++i];
		} else {
			fprintf(stderr, "mbedtls: unknown mode %s\n", argv[i]);
			exit(2);
		}
	}
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&rng);
	mbedtls_ssl_ticket_init(&tickets);
	mbedtls_ssl_session_init(&session);
	if (psa_crypto_init() != PSA_SUCCESS ||
	    mbedtls_ctr_drbg_seed(&rng, mbedtls_entropy_func, &entropy, NULL, 0) != 0 ||
	    mbedtls_ssl_ticket_setup(&tickets, mbedtls_ctr_drbg_random, &rng, MBEDTLS_CIPHER_AES_256_GCM, 86400) != 0) {
		fprintf(stderr, "mbedtls: no random numbers\n");
		exit(2);
	}
	return MBEDTLS_VERSION_STRING;
}

/* configure returns zero, or an error of Mbed TLS. */
static int configure(const struct request *r, mbedtls_ssl_config *conf, mbedtls_x509_crt *ca, mbedtls_x509_crt *cert,
		     mbedtls_pk_context *key, int *ids, const char **protocols)
{
	size_t i;
	int err = mbedtls_ssl_config_defaults(conf, r->server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
					      MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
	if (err != 0)
		return err;
	mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_3);
	mbedtls_ssl_conf_rng(conf, mbedtls_ctr_drbg_random, &rng);
	for (i = 0; i < SUITES; i++)
		if (strcmp(suites[i].name, r->suite) == 0)
			ids[0] = suites[i].id;
	mbedtls_ssl_conf_ciphersuites(conf, ids);
	protocols[0] = "not/this";
	protocols[1] = r->alpn;
	if (r->alpn != NULL && (err = mbedtls_ssl_conf_alpn_protocols(conf, protocols)) != 0)
		return err;
	if (psk_identity != NULL) {
		mbedtls_ssl_conf_tls13_key_exchange_modes(conf, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL);
		return mbedtls_ssl_conf_psk(conf, psk, psk_len, (const unsigned char *)psk_identity, strlen(psk_identity));
	}
	if (ephemeral)
		mbedtls_ssl_conf_tls13_key_exchange_modes(conf, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
	if (r->server && resume)
		mbedtls_ssl_conf_session_tickets_cb(conf, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, &tickets);
	if (!r->server) {
		mbedtls_ssl_conf_session_tickets(conf, resume);
		mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(conf, resume);
	}
	mbedtls_ssl_conf_authmode(conf, !r->server || r->mutual ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
	if (r->authority != NULL) {
		if ((err = mbedtls_x509_crt_parse_file(ca, r->authority)) != 0)
			return err;
		mbedtls_ssl_conf_ca_chain(conf, ca, NULL);
	}
	if (r->cert == NULL)
		return 0;
	if ((err = mbedtls_x509_crt_parse_file(cert, r->cert)) != 0 ||
	    (err = mbedtls_pk_parse_keyfile(key, r->key, NULL, mbedtls_ctr_drbg_random, &rng)) != 0)
		return err;
	return mbedtls_ssl_conf_own_cert(conf, cert, key);
}

/* receive reads once, past the tickets, of which it keeps the last. */
static int receive(mbedtls_ssl_context *ssl, unsigned char *buffer, size_t len)
{
	for (;;) {
		int n = mbedtls_ssl_read(ssl, buffer, len);
		if (n == MBEDTLS_ERR_SSL_WANT_READ || n == MBEDTLS_ERR_SSL_WANT_WRITE)
			continue;
		if (n != MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
			return n;
		mbedtls_ssl_session_free(&session);
		mbedtls_ssl_session_init(&session);
		has_session = (n = mbedtls_ssl_get_session(ssl, &session)) == 0;
		if (n != 0)
			return n;
	}
}

/* echo returns zero, or an error of Mbed TLS. */
static int echo(mbedtls_ssl_context *ssl)
{
	static unsigned char buffer[1 << 14];
	int n;

	while ((n = receive(ssl, buffer, sizeof buffer)) > 0) {
		int sent = 0;
		while (sent < n) {
			int k = mbedtls_ssl_write(ssl, buffer + sent, n - sent);
			if (k < 0 && k != MBEDTLS_ERR_SSL_WANT_READ && k != MBEDTLS_ERR_SSL_WANT_WRITE)
				return k;
			if (k > 0)
				sent += k;
		}
	}
	if (n != MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
		return n == 0 ? MBEDTLS_ERR_SSL_CONN_EOF : n;
	return mbedtls_ssl_close_notify(ssl);
}

static void serve(const struct request *r, int fd)
{
	mbedtls_net_context net = {.fd = fd};
	mbedtls_ssl_context ssl;
	mbedtls_ssl_config conf;
	mbedtls_x509_crt ca, cert;
	mbedtls_pk_context key;
	const char *protocols[3] = {NULL}, *protocol, *suite = "";
	int ids[2] = {0}, err;
	size_t i;

	mbedtls_ssl_init(&ssl);
	mbedtls_ssl_config_init(&conf);
	mbedtls_x509_crt_init(&ca);
	mbedtls_x509_crt_init(&cert);
	mbedtls_pk_init(&key);
	if ((err = configure(r, &conf, &ca, &cert, &key, ids, protocols)) != 0 ||
	    (err = mbedtls_ssl_setup(&ssl, &conf)) != 0)
		goto end;
	mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
	if (!r->server && ((err = mbedtls_ssl_set_hostname(&ssl, NAME)) != 0 ||
			   (has_session && (err = mbedtls_ssl_set_session(&ssl, &session)) != 0)))
		goto end;
	while ((err = mbedtls_ssl_handshake(&ssl)) == MBEDTLS_ERR_SSL_WANT_READ || err == MBEDTLS_ERR_SSL_WANT_WRITE)
		;
	if (err == 0)
		err = echo(&ssl);
end:
	if (err != 0) {
		char why[200];
		mbedtls_strerror(err, why, sizeof why);
		/* The alert behind most errors has been written by then. */
		answer("failed -0x%04x %s", -err, why);
	} else {
		for (i = 0; i < SUITES; i++)
			if (suites[i].id == mbedtls_ssl_get_ciphersuite_id_from_ssl(&ssl))
				suite = suites[i].name;
		protocol = mbedtls_ssl_get_alpn_protocol(&ssl);
		answer("ok %s %s", suite, protocol != NULL ? protocol : "");
	}
	mbedtls_ssl_free(&ssl);
	mbedtls_ssl_config_free(&conf);
	mbedtls_x509_crt_free(&ca);
	mbedtls_x509_crt_free(&cert);
	mbedtls_pk_free(&key);
}

// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * An echo peer on JSSE. At first it prints "ready" and its groups, as far as it can
 * tell. Then each line of its input asks for one connection, in fields that a tab
 * separates:
 *
 * <pre>role port suite alpn mutual certificate key algorithm authority</pre>
 *
 * As a server it prints "port N" and accepts once; as a client it connects to
 * the port. It returns what it gets until the other side closes, closes too,
 * and prints "ok SUITE PROTOCOL" or "failed" and why.
 */
public final class Peer {
    private static final int PATIENCE_MS = 30_000;
    private static final String NAME = "localhost";

    /** The contexts, with the sessions in them, by suite and credentials. */
    private static final Map<String, SSLContext> CONTEXTS = new HashMap<>();

    public static void main(String[] args) throws Exception {
        if (args.length > 0) {
            // So small a limit makes it change its keys every so often.
            Security.setProperty("jdk.tls.keyLimits", args[0]);
        }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready " + String.join(" ", groups()));
        for (String line; (line = in.readLine()) != null; ) {
            try {
                System.out.println("ok " + new Request(line.split("\t", -1)).serve());
            } catch (Exception e) {
                System.out.println("failed " + e);
                e.printStackTrace();
            }
        }
    }

    /** The groups that it offers by itself, where it can say: from version 20 on. */
    private static String[] groups() throws Exception {
        try {
            SSLParameters p = SSLContext.getDefault().getDefaultSSLParameters();
            String[] groups = (String[]) SSLParameters.class.getMethod("getNamedGroups").invoke(p);
            return groups == null ? new String[0] : groups;
        } catch (NoSuchMethodException e) {
            return new String[0];
        }
    }

    /** One connection to make. */
    private static final class Request {
        private final boolean server;
        private final int port;
        private final String suite;
        private final String alpn;
        private final boolean mutual;
        private final SSLContext context;

        Request(String[] f) throws Exception {
            server = f[0].equals("server");
            port = Integer.parseInt(f[1]);
            suite = f[2];
            alpn = f[3];
            mutual = f[4].equals("true");
            String credentials = String.join("\t", f[2], f[5], f[6], f[7], f[8]);
            SSLContext known = CONTEXTS.get(credentials);
            context = known != null ? known : context(f[5], f[6], f[7], f[8]);
            CONTEXTS.put(credentials, context);
        }

        String serve() throws Exception {
            InetAddress loopback = InetAddress.getByName("127.0.0.1");
            if (!server) {
                // By its name, so that the certificate's is checked.
                InetAddress named = InetAddress.getByAddress(NAME, loopback.getAddress());
                try (SSLSocket s = (SSLSocket) context.getSocketFactory().createSocket(named, port)) {
                    return echo(s);
                }
            }
            try (SSLServerSocket l =
                    (SSLServerSocket) context.getServerSocketFactory().createServerSocket(0, 1, loopback)) {
                l.setSoTimeout(PATIENCE_MS);
                System.out.println("port " + l.getLocalPort());
                try (SSLSocket s = (SSLSocket) l.accept()) {
                    return echo(s);
                }
            }
        }

        private String echo(SSLSocket s) throws IOException {
            s.setSoTimeout(PATIENCE_MS);
            SSLParameters p = s.getSSLParameters();
            p.setProtocols(new String[] {"TLSv1.3"});
            p.setCipherSuites(new String[] {suite});
            if (server) {
                p.setNeedClientAuth(mutual);
            } else {
                p.setEndpointIdentificationAlgorithm("HTTPS");
            }
            if (!alpn.isEmpty()) {
                p.setApplicationProtocols(new String[] {"not/this", alpn});
            }
            s.setSSLParameters(p);
            s.startHandshake();

            InputStream in = s.getInputStream();
            OutputStream out = s.getOutputStream();
            byte[] buffer = new byte[32 << 10];
            for (int n; (n = in.read(buffer)) >= 0; ) {
                out.write(buffer, 0, n);
            }
            s.shutdownOutput();
            return s.getSession().getCipherSuite() + " " + s.getApplicationProtocol();
        }
    }

    private static SSLContext context(String cert, String key, String algorithm, String authority)
            throws Exception {
        KeyStore trusted = emptyStore();
        trusted.setCertificateEntry("authority", certificate(authority));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);

        KeyStore own = emptyStore();
        if (!cert.isEmpty()) {
            PrivateKey k = KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(pem(key)));
            own.setKeyEntry("own", k, new char[0], new Certificate[] {certificate(cert)});
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, new char[0]);

        SSLContext context = SSLContext.getInstance("TLSv1.3");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    private static KeyStore emptyStore() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    private static Certificate certificate(String file) throws Exception {
        return CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(pem(file)));
    }

    /** The content of a file with one PEM block. */
    private static byte[] pem(String file) throws IOException {
        StringBuilder base64 = new StringBuilder();
        for (String line : Files.readAllLines(Path.of(file))) {
            if (!line.startsWith("-----")) {
                base64.append(line);
            }
        }
        return Base64.getDecoder().decode(base64.toString());
    }
}

// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//! An echo peer on rustls, which is asked as Peer.java is.
//!
//! Each line of its input asks for one connection, in fields that a tab separates:
//!
//!     role port suite alpn mutual certificate key algorithm authority
//!
//! It prints "port N" as a server, and at the end "ok SUITE PROTOCOL" or "failed" and
//! why.

use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{aws_lc_rs, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};

const PATIENCE: Duration = Duration::from_secs(30);

type Failure = Box<dyn Error>;

/// What one connection is to be.
struct Wish<'a> {
    server: bool,
    port: u16,
    suite: &'a str,
    alpn: &'a str,
    mutual: bool,
    certificate: &'a str,
    key: &'a str,
    authority: &'a str,
}

impl<'a> Wish<'a> {
    fn parse(line: &'a str) -> Result<Self, Failure> {
        let f: Vec<&str> = line.split('\t').collect();
        let [role, port, suite, alpn, mutual, certificate, key, _, authority] = f[..] else {
            return Err("nine fields are needed".into());
        };
        Ok(Wish {
            server: role == "server",
            port: port.parse()?,
            suite,
            alpn,
            mutual: mutual == "true",
            certificate,
            key,
            authority,
        })
    }

    /// The provider with the one suite that is wanted.
    fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        provider
            .cipher_suites
            .retain(|s| name(s.suite()) == self.suite);
        Arc::new(provider)
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, Failure> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.authority)? {
            roots.add(certificate?)?;
        }
        Ok(Arc::new(roots))
    }

    fn credential(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
        let chain = CertificateDer::pem_file_iter(self.certificate)?.collect::<Result<_, _>>()?;
        Ok((chain, PrivateKeyDer::from_pem_file(self.key)?))
    }

    fn protocols(&self) -> Vec<Vec<u8>> {
        match self.alpn {
            "" => vec![],
            alpn => vec![b"not/this".to_vec(), alpn.into()],
        }
    }

    fn client(&self) -> Result<Connection, Failure> {
        let config = ClientConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.roots()?);
        let mut config = if self.certificate.is_empty() {
            config.with_no_client_auth()
        } else {
            let (chain, key) = self.credential()?;
            config.with_client_auth_cert(chain, key)?
        };
        config.alpn_protocols = self.protocols();
        Ok(ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?.into())
    }

    fn server(&self) -> Result<Connection, Failure> {
        let provider = self.provider();
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let config = if self.mutual {
            config.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(self.roots()?, provider).build()?,
            )
        } else {
            config.with_no_client_auth()
        };
        let (chain, key) = self.credential()?;
        let mut config = config.with_single_cert(chain, key)?;
        config.alpn_protocols = self.protocols();
        Ok(ServerConnection::new(Arc::new(config))?.into())
    }

    /// Makes the connection, and says what was negotiated.
    fn grant(&self) -> Result<String, Failure> {
        let (mut connection, mut socket) = if self.server {
            let connection = self.server()?;
            let listener = TcpListener::bind("127.0.0.1:0")?;
            println!("port {}", listener.local_addr()?.port());
            (connection, listener.accept()?.0)
        } else {
            (
                self.client()?,
                TcpStream::connect(("127.0.0.1", self.port))?,
            )
        };
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        echo(&mut connection, &mut socket)?;
        let suite = connection
            .negotiated_cipher_suite()
            .ok_or("no suite")?
            .suite();
        let alpn =
            String::from_utf8_lossy(connection.alpn_protocol().unwrap_or_default()).into_owned();
        Ok(format!("{} {alpn}", name(suite)))
    }
}

/// Returns what comes until the other side closes, and closes too.
fn echo(connection: &mut Connection, socket: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1 << 15];
    loop {
        connection.complete_io(socket)?; // it waits for something, and sends all that is there
        loop {
            match connection.reader().read(&mut buffer) {
                Ok(0) => {
                    connection.send_close_notify();
                    while connection.wants_write() {
                        connection.write_tls(socket)?;
                    }
                    return Ok(());
                }
                Ok(n) => connection.writer().write_all(&buffer[..n])?,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
            while connection.wants_write() {
                connection.write_tls(socket)?;
            }
        }
    }
}

/// The suite's name in the RFC.
fn name(suite: rustls::CipherSuite) -> String {
    format!("{suite:?}").replace("TLS13_", "TLS_")
}

fn main() -> Result<(), Failure> {
    println!("ready");
    for line in io::stdin().lock().lines() {
        match Wish::parse(&line?).and_then(|wish| wish.grant()) {
            Ok(what) => println!("ok {what}"),
            Err(why) => println!("failed {why}"),
        }
    }
    Ok(())
}

// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//! An echo peer on rustls, which is asked as Peer.java is.
//!
//! Each line of its input asks for one connection, in fields that a tab separates:
//!
//!     role port suite alpn mutual certificate key algorithm authority
//!
//! A certificate may be a raw public key (RFC 7250), and so may the authority: then it is
//! the one key that the other side must show.
//!
//! It prints "port N" as a server, and at the end "ok SUITE PROTOCOL" or "failed" and
//! why.

mod raw;

use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{AlwaysResolvesClientRawPublicKeys, WebPkiServerVerifier};
use rustls::crypto::{aws_lc_rs, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoClientAuth, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};

use raw::OneKey;

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

    /// The raw key that this side shows, if it is to show one.
    fn raw_credential(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Option<Arc<CertifiedKey>>, Failure> {
        let Ok(public) = SubjectPublicKeyInfoDer::from_pem_file(self.certificate) else {
            return Ok(None);
        };
        let key = provider
            .key_provider
            .load_private_key(PrivateKeyDer::from_pem_file(self.key)?)?;
        let shown = vec![CertificateDer::from(public.to_vec())];
        Ok(Some(Arc::new(CertifiedKey::new(shown, key))))
    }

    /// The raw key that the other side must show, if it must show one.
    fn raw_authority(&self, provider: &CryptoProvider) -> Option<Arc<OneKey>> {
        let public = SubjectPublicKeyInfoDer::from_pem_file(self.authority).ok()?;
        Some(Arc::new(OneKey::new(public, provider)))
    }

    fn protocols(&self) -> Vec<Vec<u8>> {
        match self.alpn {
            "" => vec![],
            alpn => vec![b"not/this".to_vec(), alpn.into()],
        }
    }

    fn client(&self) -> Result<Connection, Failure> {
        let provider = self.provider();
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let config = match self.raw_authority(&provider) {
            Some(key) => config.dangerous().with_custom_certificate_verifier(key),
            None => config.with_webpki_verifier(
                WebPkiServerVerifier::builder_with_provider(self.roots()?, provider.clone())
                    .build()?,
            ),
        };
        let mut config = if self.certificate.is_empty() {
            config.with_no_client_auth()
        } else if let Some(key) = self.raw_credential(&provider)? {
            config.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)))
        } else {
            let (chain, key) = self.credential()?;
            config.with_client_auth_cert(chain, key)?
        };
        config.alpn_protocols = self.protocols();
        Ok(ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?.into())
    }

    fn server(&self) -> Result<Connection, Failure> {
        let provider = self.provider();
        let verifier: Arc<dyn ClientCertVerifier> = if !self.mutual {
            Arc::new(NoClientAuth)
        } else if let Some(key) = self.raw_authority(&provider) {
            key
        } else {
            WebPkiClientVerifier::builder_with_provider(self.roots()?, provider.clone()).build()?
        };
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier);
        let mut config = match self.raw_credential(&provider)? {
            Some(key) => {
                config.with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)))
            }
            None => {
                let (chain, key) = self.credential()?;
                config.with_single_cert(chain, key)?
            }
        };
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

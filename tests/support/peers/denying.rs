//! A server that answers one request over TLS 1.3, reads a second one, and then refuses its client with an alert.
//!
//! No TLS library sends that alert so late, so its record is made here.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, UnboundKey};
use rustls::crypto::cipher::Nonce;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ConnectionTrafficSecrets, ServerConfig, ServerConnection, Stream};

use super::listener::listener;
use super::openssl::Pki;

/// Serves one connection with this certificate. The thread ends with the two requests.
pub fn denying(pki: &Pki, name: &str, reply: String) -> (u16, JoinHandle<[String; 2]>) {
    let certificate = CertificateDer::from_pem_file(pki.path(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(pki.file(&format!("{name}.key"))).unwrap();
    let mut provider = default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS13_AES_256_GCM_SHA384];
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.enable_secret_extraction = true;
    let listener = listener();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        // Later connections are refused.
        drop(listener);
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = Stream::new(&mut connection, &mut peer);
        let first = request(&mut stream);
        stream.write_all(reply.as_bytes()).unwrap();
        stream.flush().unwrap();
        let second = request(&mut stream);
        deny(connection, &mut peer);
        [first, second]
    });
    (port, thread)
}

/// Reads a request, whose body is an object if it has one.
fn request(stream: &mut Stream<'_, ServerConnection, TcpStream>) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") && !text.ends_with('}') {
        let mut part = [0; 4_096];
        let amount = stream.read(&mut part).unwrap();
        assert!(amount > 0, "the request has no end: {text}");
        text.push_str(std::str::from_utf8(&part[..amount]).unwrap());
    }
    text
}

/// Sends the alert `access_denied`.
fn deny(connection: ServerConnection, peer: &mut TcpStream) {
    const FATAL: u8 = 2;
    const ACCESS_DENIED: u8 = 49;
    const ALERT: u8 = 21;
    const APPLICATION_DATA: u8 = 23;
    let (number, secrets) = connection.dangerous_extract_secrets().unwrap().tx;
    let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("another cipher") };
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
    let nonce = ring::aead::Nonce::assume_unique_for_key(Nonce::new(&iv, number).0);
    let mut record = vec![FATAL, ACCESS_DENIED, ALERT];
    let length = (record.len() + AES_256_GCM.tag_len()) as u8;
    let head = [APPLICATION_DATA, 3, 3, 0, length];
    key.seal_in_place_append_tag(nonce, Aad::from(head), &mut record).unwrap();
    peer.write_all(&[&head, record.as_slice()].concat()).unwrap();
}

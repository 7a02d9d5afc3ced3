//! TLS. The operating system verifies certificates; `ca_file` adds trusted ones.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, ClientConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use super::attempt::is_pending;
use super::client_certificate::{ClientCertificate, NoCertificate};
use super::failure::Failure;
use super::presented::Recording;
use super::socket::{BULK, Exchange, Socket};
use super::trace::Recorder;
use crate::error::{Error, Result};
#[cfg(not(any(windows, target_vendor = "apple", target_os = "android")))]
use crate::os::environment;
use crate::os::small_file;
use crate::status::Status;
use crate::text::url::without_brackets;

/// A TLS stream over one of our sockets.
pub(crate) type TlsStream = StreamOwned<ClientConnection, ReadAhead>;

/// A socket below TLS. The TLS library reads 4 KiB at a time, which suffices for small replies. For large ones this
/// reads more at once.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    socket: Socket,
    /// Empty: nothing is read ahead.
    buffer: Vec<u8>,
    unread: Range<usize>,
}

impl ReadAhead {
    fn new(socket: Socket) -> ReadAhead {
        let room = if Exchange::is_bulk() { BULK } else { 0 };
        ReadAhead { socket, buffer: vec![0; room], unread: 0..0 }
    }

    /// Whether the connection is open and no unexpected data has arrived.
    pub(crate) fn is_idle_and_open(&self) -> bool {
        self.unread.is_empty() && self.socket.is_idle_and_open()
    }
}

impl Read for ReadAhead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            return self.socket.read(out);
        }
        if self.unread.is_empty() {
            self.unread = 0..self.socket.read(&mut self.buffer)?;
        }
        let got = self.buffer.get(self.unread.clone()).unwrap_or_default();
        let amount = got.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..amount), got.get(..amount)) {
            to.copy_from_slice(from);
        }
        self.unread.start += amount;
        Ok(amount)
    }
}

impl Write for ReadAhead {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// The TLS configuration, made on first use.
#[derive(Debug)]
pub(crate) struct Trust {
    extra_roots: Vec<CertificateDer<'static>>,
    certificate: Option<ClientCertificate>,
    made: OnceCell<(Arc<ClientConfig>, Arc<dyn ServerCertVerifier>)>,
}

impl Trust {
    /// `now`: load the certificate store at once, so that a missing store fails the creation of the client.
    pub(crate) fn new(
        extra_roots: Vec<CertificateDer<'static>>,
        certificate: Option<ClientCertificate>,
        now: bool,
    ) -> Result<Trust> {
        let trust = Trust { extra_roots, certificate, made: OnceCell::new() };
        if now {
            trust.made()?;
        }
        Ok(trust)
    }

    fn made(&self) -> Result<&(Arc<ClientConfig>, Arc<dyn ServerCertVerifier>)> {
        self.made.get_or_try_init(|| config(&self.extra_roots))
    }

    /// The configuration for a host, with the client certificate if the host gets it. With a recorder every handshake is a
    /// whole one, which presents the server's certificate.
    pub(super) fn config_for(
        &self,
        host: &str,
        port: u16,
        recorder: Option<&Arc<Recorder>>,
    ) -> Result<Arc<ClientConfig>> {
        let (config, verifier) = self.made()?;
        let own = self.certificate.as_ref();
        let own = own.and_then(|own| own.config_for(host, port, config));
        let config = own.unwrap_or_else(|| Arc::clone(config));
        let Some(recorder) = recorder else { return Ok(config) };
        let (verifier, recorder) = (Arc::clone(verifier), Arc::clone(recorder));
        let mut config = ClientConfig::clone(&config);
        config.resumption = Resumption::disabled();
        config.dangerous().set_certificate_verifier(Arc::new(Recording { verifier, recorder }));
        Ok(Arc::new(config))
    }
}

/// TLS 1.2 and 1.3, ring, the system's verifier. Verification cannot be switched off.
fn config(
    extra_roots: &[CertificateDer<'static>],
) -> Result<(Arc<ClientConfig>, Arc<dyn ServerCertVerifier>)> {
    let unusable = |error: rustls::Error| {
        let why = match error {
            rustls::Error::General(why) => why,
            other => other.to_string(),
        };
        let why = crate::text::redact::clean(&why, 256);
        let advice = "install the system's CA certificates, or name a file of them in `ca_file`";
        Error::new(Status::Tls, format!("there is no usable certificate store ({why}); {advice}"))
    };
    let provider: Arc<CryptoProvider> = Arc::new(super::crypto::provider());
    let verifier = verifier(extra_roots, &provider).map_err(unusable)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(unusable)?
        .dangerous() // rustls' name for a custom verifier; this one is the system's.
        .with_custom_certificate_verifier(Arc::clone(&verifier))
        .with_client_cert_resolver(Arc::new(NoCertificate));
    Ok((Arc::new(config), verifier))
}

/// The system's own verifier.
#[cfg(any(windows, target_vendor = "apple", target_os = "android"))]
fn verifier(
    extra_roots: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> std::result::Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    use rustls_platform_verifier::Verifier;

    let provider = Arc::clone(provider);
    Ok(Arc::new(match extra_roots.is_empty() {
        true => Verifier::new(provider),
        false => Verifier::new_with_extra_roots(extra_roots.iter().cloned(), provider),
    }?))
}

/// The system has a store and no verifier. What cannot be read in it is left out.
#[cfg(not(any(windows, target_vendor = "apple", target_os = "android")))]
fn verifier(
    extra_roots: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> std::result::Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    use rustls::client::WebPkiServerVerifier;

    let mut roots = rustls::RootCertStore::empty();
    for root in extra_roots {
        roots.add(root.clone())?;
    }
    roots.add_parsable_certificates(store());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    let verifier = verifier.map_err(|_| {
        rustls::Error::General("no CA certificates were loaded from the system".to_owned())
    })?;
    Ok(verifier)
}

/// The certificates of the system's store, as OpenSSL finds it. SSL_CERT_FILE and SSL_CERT_DIR name another one, but not
/// in a program that must not believe its environment.
#[cfg(not(any(windows, target_vendor = "apple", target_os = "android")))]
fn store() -> Vec<CertificateDer<'static>> {
    if !environment::is_untrusted() {
        return rustls_native_certs::load_native_certs().certs;
    }
    let folders = openssl_probe::candidate_cert_dirs();
    let load = |folder| rustls_native_certs::load_certs_from_paths(None, Some(folder)).certs;
    folders.flat_map(load).collect()
}

/// A file with all public CAs has about 250 KiB.
const MAX_CA_FILE: u64 = 16 << 20;

/// The certificates of `ca_file`. A file without any, or with a damaged one, is an error.
pub(crate) fn read_roots(path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let refused = |problem: String| {
        Error::new(
            Status::Config,
            format!(
                "option `ca_file`: {path} {problem}; expected a file with one or more PEM certificates"
            ),
        )
    };
    let pem = small_file::read(Path::new(path), MAX_CA_FILE).map_err(refused)?;
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| refused("has damaged PEM".to_owned()))?;
    for (at, root) in roots.iter().enumerate() {
        rustls::RootCertStore::empty().add(root.clone()).map_err(|_| {
            refused(format!("has a certificate that is damaged (number {})", at + 1))
        })?;
    }
    let begun = String::from_utf8_lossy(&pem).matches("CERTIFICATE-----").count() / 2;
    match roots.len() {
        0 => Err(refused("has no certificate".to_owned())),
        read if read < begun => {
            Err(refused(format!("has {begun} certificates, of which only {read} can be read")))
        }
        _ => Ok(roots),
    }
}

fn refused(host: &str, why: &str) -> Failure {
    Failure::new(Status::Tls, format!("TLS with `{host}` failed: {why}"))
}

/// Begins a handshake with `host`.
pub(super) fn begin(
    config: &Arc<ClientConfig>,
    host: &str,
) -> std::result::Result<ClientConnection, Failure> {
    let bare = without_brackets(host);
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|_| refused(host, "the host is not a valid name"))?;
    ClientConnection::new(Arc::clone(config), name).map_err(|error| refused(host, &explain(&error)))
}

/// Continues a handshake as far as the socket allows. Returns whether it is complete.
pub(super) fn advance(
    connection: &mut ClientConnection,
    host: &str,
    socket: &mut Socket,
) -> std::result::Result<bool, Failure> {
    while connection.is_handshaking() || connection.wants_write() {
        match connection.complete_io(socket) {
            Ok(_) => {}
            Err(error) if is_pending(&error) => return Ok(false),
            Err(error) => {
                return Err(
                    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
                        Some(error) => {
                            // A client certificate is chosen before the server's is judged.
                            if let rustls::Error::InvalidCertificate(_) = error {
                                Exchange::certificate_is_no_reason();
                            }
                            refused(host, &explain(error))
                        }
                        None => incomplete(host, error),
                    },
                );
            }
        }
    }
    Ok(true)
}

/// The failure of a handshake that did not end.
pub(super) fn incomplete(host: &str, error: io::Error) -> Failure {
    Failure::from_io(error).relabel(Status::Broken, Status::Connect, |why| {
        format!("`{host}` did not complete the TLS handshake: {why}")
    })
}

/// The stream of a connection whose handshake is complete.
pub(super) fn stream(connection: ClientConnection, socket: Socket) -> TlsStream {
    StreamOwned::new(connection, ReadAhead::new(socket))
}

/// Sends all bytes, or returns the failure. The stream's own `write` reports a failure only on its next use, and would
/// then wait a second time for a peer that does not read.
pub(super) fn write_all(stream: &mut TlsStream, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        let taken = stream.conn.writer().write(data)?;
        data = match data.get(taken..) {
            Some(rest) if taken > 0 => rest,
            _ => return Err(ErrorKind::WriteZero.into()),
        };
        stream.flush()?;
    }
    Ok(())
}

/// Whether the server refused the client's certificate, or the lack of one. If it asked for one in the handshake, it then
/// reads no request, not even one that was sent already.
pub(super) fn is_about_our_certificate(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        error,
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
        )
    )
}

/// The check that failed, in a sentence. Other errors get the TLS library's text, which has no secrets.
pub(super) fn explain(error: &rustls::Error) -> String {
    use rustls::AlertDescription::{CertificateRequired, HandshakeFailure, ProtocolVersion};
    use rustls::CertificateError::{
        InvalidPurpose, InvalidPurposeContext, NotValidForName, NotValidForNameContext,
    };
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage, PeerIncompatible};
    use rustls::PeerIncompatible::{
        ServerDoesNotSupportTls12Or13, ServerTlsVersionIsDisabledByOurConfig,
    };
    match error {
        InvalidCertificate(CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            "the certificate is a CA's and may not serve as a server's; make the server one of its own"
                .to_owned()
        }
        InvalidCertificate(CertificateError::BadSignature) => {
            "the certificate's signature is not its issuer's".to_owned()
        }
        InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            "the peer does not speak TLS; check scheme and port of the URL, and any proxy".to_owned()
        }
        AlertReceived(ProtocolVersion)
        | PeerIncompatible(
            ServerDoesNotSupportTls12Or13 | ServerTlsVersionIsDisabledByOurConfig,
        ) => "the server needs TLS 1.2 or newer".to_owned(),
        AlertReceived(CertificateRequired) => {
            "the server accepts no connection without a client certificate (CertificateRequired)".to_owned()
        }
        AlertReceived(HandshakeFailure) => {
            "the server refused the handshake (HandshakeFailure): it wants a client certificate, or has no cipher or curve \
             in common; let it offer ECDHE with AES-GCM or ChaCha20-Poly1305"
                .to_owned()
        }
        InvalidCertificate(InvalidPurpose | InvalidPurposeContext { .. }) => {
            "the certificate may not serve as a server's; it needs the extended key usage serverAuth"
                .to_owned()
        }
        InvalidCertificate(NotValidForNameContext { presented, .. }) if !presented.is_empty() => {
            let inner = |name: &String| {
                let name = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner);
                name.trim_end_matches(')').trim_matches('"').to_owned()
            };
            let names: Vec<_> = presented.iter().map(inner).collect();
            let names = crate::text::redact::clean(&names.join(", "), 200);
            format!("the certificate is for another host ({names}); check the URL, DNS and any proxy")
        }
        AlertReceived(alert) => format!("the server refused the handshake ({alert:?})"),
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the certificate has expired, or this machine's clock is ahead; check both".to_owned()
        }
        InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "the certificate is not valid yet; check this machine's clock".to_owned(),
        InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => "the certificate is for another host; check the URL, DNS and any proxy".to_owned(),
        InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the certificate's issuer is not trusted here; add its CA to the system or to `ca_file`"
                .to_owned()
        }
        InvalidCertificate(CertificateError::Revoked) => "the certificate was revoked".to_owned(),
        other => crate::text::redact::clean(&other.to_string(), 256),
    }
}

//! The certificate that a server presents: its issuer is recorded, whether it is trusted or not. So a check can name the
//! authority of a proxy that inspects TLS.

use std::sync::Arc;

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::trace::Recorder;

/// Verifies as `verifier` does.
#[derive(Debug)]
pub(super) struct Recording {
    pub verifier: Arc<dyn ServerCertVerifier>,
    pub recorder: Arc<Recorder>,
}

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.verifier.verify_server_cert(certificate, intermediates, name, ocsp, now);
        if let Some(issuer) = issuer(certificate) {
            let is_unknown =
                matches!(verdict, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
            self.recorder.presented(&issuer, is_unknown);
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The parts of a name that people know it by. Each is `2.5.4.n` (RFC 5280, appendix A.1).
const PARTS: [(u8, &str); 3] = [(3, "CN"), (10, "O"), (6, "C")];

/// The name of a certificate's issuer: `CN=…, O=…, C=…`. `None`: it is not readable or has none of these.
fn issuer(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut found = PARTS.map(|_| None);
    let mut sets = SliceReader::new(certificate.issuer()).ok()?;
    while !sets.is_finished() {
        let set = AnyRef::decode(&mut sets).ok()?;
        let mut attributes = SliceReader::new(set.value()).ok()?;
        while !attributes.is_finished() {
            let attribute = AnyRef::decode(&mut attributes).ok()?;
            let mut fields = SliceReader::new(attribute.value()).ok()?;
            let (kind, value) =
                (AnyRef::decode(&mut fields).ok()?, AnyRef::decode(&mut fields).ok()?);
            let [0x55, 0x04, kind] = kind.value() else { continue };
            let place = PARTS.iter().zip(&mut found).find(|((number, _), _)| number == kind);
            if let Some((_, place)) = place {
                place.get_or_insert_with(|| String::from_utf8_lossy(value.value()).into_owned());
            }
        }
    }
    let parts = PARTS.iter().zip(found);
    let parts: Vec<_> =
        parts.filter_map(|((_, name), value)| Some(format!("{name}={}", value?))).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

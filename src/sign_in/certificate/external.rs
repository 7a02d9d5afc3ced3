//! A key that the library does not have. Its signatures are checked here, so that a wrong one is reported with its cause
//! and not refused by the sign-in service without any.

use std::sync::Arc;

use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use zeroize::Zeroizing;

use super::assertion::Algorithm;
use super::files::Role;
use super::key::Key;
use super::x509::X509;
use super::{Material, Pair, Trouble, lacks, refused};
use crate::call::{Call, Stop};
use crate::error::{Error, Result, Stage};
use crate::sign_in::signer::{Signer, SigningRequest};
use crate::sign_in::stopped;
use crate::status::Status;
use crate::text::redact;

/// Who has a key, for messages.
pub(super) struct Holder {
    pub name: &'static str,
    /// What to do about a signature that does not fit the certificate.
    pub check: &'static str,
}

const SIGNER: Holder = Holder {
    name: "the signer",
    check: "check that it is the bare signature, is made with the key of that certificate (the first one of its file), \
            and hashes the data once with SHA-256",
};

/// The key of a certificate, which something else signs with.
pub(super) struct ExternalKey {
    signer: Arc<dyn Signer>,
    holder: &'static Holder,
    /// An encoded RSAPublicKey.
    pub public_key: Vec<u8>,
    /// The length of a signature.
    length: usize,
}

impl ExternalKey {
    pub(super) fn new(
        signer: Arc<dyn Signer>,
        holder: &'static Holder,
        certificate: &X509<'_>,
    ) -> std::result::Result<ExternalKey, Trouble> {
        let length = certificate.rsa_length()?;
        Ok(ExternalKey { signer, holder, public_key: certificate.public_key.to_vec(), length })
    }

    /// The signature of `data`, which the certificate verifies.
    pub(super) fn sign(
        &self,
        algorithm: Algorithm,
        data: &[u8],
        call: &Arc<Call>,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let request = SigningRequest { algorithm: algorithm.name(), data, call: Arc::clone(call) };
        let signature = self.signer.sign(&request).map(Zeroizing::new);
        // A signer that gave up because its call was stopped has not failed: another call asks it again.
        let who = self.holder.name;
        call.check().map_err(|stop| match stop {
            Stop::Deadline => stopped(stop).with_note(&format!("{who} had not signed by then")),
            _ => stopped(stop),
        })?;
        let failed = |message: String| Error::new(Status::Token, message).with_stage(Stage::Token);
        let signature = signature.map_err(|why| {
            failed(format!("{who} gave no signature: {}", redact::clean(&why, 512)))
        })?;
        match self.problem(algorithm, data, &signature) {
            None => Ok(signature),
            Some(problem) => Err(failed(format!("the signature of {who} {problem}"))),
        }
    }

    /// Why a signature cannot be sent, and what to change.
    fn problem(&self, algorithm: Algorithm, data: &[u8], signature: &[u8]) -> Option<String> {
        let verifies = |parameters: &'static RsaParameters| {
            UnparsedPublicKey::new(parameters, &self.public_key).verify(data, signature).is_ok()
        };
        let (expected, other) = match algorithm {
            Algorithm::Ps256 => (&RSA_PSS_2048_8192_SHA256, &RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs256 => (&RSA_PKCS1_2048_8192_SHA256, &RSA_PSS_2048_8192_SHA256),
        };
        let (name, padding) = match algorithm {
            Algorithm::Ps256 => (
                "PS256",
                "PS256 pads with MGF1 of SHA-256 and a salt of 32 bytes; where the key cannot (some TPMs), set \
                 `certificate_algorithm=RS256`",
            ),
            Algorithm::Rs256 => ("RS256", "RS256 pads as PKCS#1 v1.5 does"),
        };
        let check = self.holder.check;
        if signature.len() != self.length {
            return Some(format!(
                "has {} bytes, and the key of `client_certificate` makes {}; {check}",
                signature.len(),
                self.length
            ));
        }
        if verifies(expected) {
            return None;
        }
        Some(match verifies(other) {
            true => format!(
                "has another padding than that of {name}; sign with the algorithm that is asked for, or set \
                 `certificate_algorithm` to the other one"
            ),
            false => format!("does not fit `client_certificate`; {check}; {padding}"),
        })
    }
}

impl Pair {
    /// `signer` has the key of the first certificate.
    pub(super) fn of_signer(material: &Material, signer: &Arc<dyn Signer>) -> Result<Pair> {
        let role = Role::SignIn;
        if !material.keys.is_empty() {
            let problem = match material.certificates.is_empty() {
                true => {
                    "has a private key and no certificate; expected the certificate whose key the signer has"
                }
                false => {
                    "has a private key, and a signer is set; expected certificates alone, or no signer"
                }
            };
            return Err(refused(role.certificate(), problem));
        }
        let all = material.certificates(role)?;
        let Some(own) = all.first() else {
            return Err(lacks(role, role.certificate(), material.other, "has no certificate"));
        };
        Pair::external(Arc::clone(signer), &SIGNER, own, &all)
    }

    /// A certificate whose key `signer` has.
    pub(super) fn external(
        signer: Arc<dyn Signer>,
        holder: &'static Holder,
        own: &X509<'_>,
        all: &[X509<'_>],
    ) -> Result<Pair> {
        let key = ExternalKey::new(signer, holder, own).map_err(|trouble| {
            let role = Role::SignIn;
            trouble.into_error(role, role.certificate())
        })?;
        Ok(Pair::new(Key::External(key), own, all))
    }
}

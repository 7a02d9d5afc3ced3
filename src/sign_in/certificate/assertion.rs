//! The assertion: a JWT that names the application, the token endpoint and the time, signed with the certificate's key.
//!
//! Source: "Microsoft identity platform application authentication certificate credentials".

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256};
use serde::Serialize;
use zeroize::Zeroizing;

use super::external::ExternalKey;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::status::Status;
use crate::text::json;

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// RSA-PSS. The header names the certificate by its SHA-256.
    #[default]
    Ps256,
    /// PKCS#1 v1.5, for older authorities. The header names the certificate by its SHA-1.
    Rs256,
}

impl Algorithm {
    /// As a JWT names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::Ps256 => "PS256",
            Algorithm::Rs256 => "RS256",
        }
    }
}

/// In seconds. The documentation recommends five to ten minutes.
const LIFE: u64 = 600;

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    x5t_s256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5t: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    x5c: Vec<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: u64,
    iat: u64,
    exp: u64,
}

/// Encodes a part of a JWT.
fn encode(part: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(json::text(part))
}

/// A key that signs assertions.
pub(super) enum Key {
    Own(Box<rsa::KeyPair>),
    External(ExternalKey),
}

/// A key, and the header of its assertions.
pub(super) struct Assertions {
    key: Key,
    algorithm: Algorithm,
    header: String,
}

impl Assertions {
    /// `certificate` belongs to the key, in DER. `chain` begins with it; empty if the authority knows the certificate.
    pub(super) fn new(
        key: Key,
        algorithm: Algorithm,
        certificate: &[u8],
        chain: &[&[u8]],
    ) -> Assertions {
        let thumbprint = |hash| URL_SAFE_NO_PAD.encode(digest(hash, certificate));
        let (x5t_s256, x5t) = match algorithm {
            Algorithm::Ps256 => (Some(thumbprint(&SHA256)), None),
            Algorithm::Rs256 => (None, Some(thumbprint(&SHA1_FOR_LEGACY_USE_ONLY))),
        };
        let alg = algorithm.name();
        let x5c = chain.iter().map(|der| STANDARD.encode(der)).collect();
        let header = encode(&Header { alg, typ: "JWT", x5t_s256, x5t, x5c });
        Assertions { key, algorithm, header }
    }

    /// The encoded header, equal for all assertions.
    pub(super) fn header(&self) -> &str {
        &self.header
    }

    pub(super) fn sign(
        &self,
        audience: &str,
        client_id: &str,
        call: &Arc<Call>,
    ) -> Result<Zeroizing<String>> {
        let random = SystemRandom::new();
        let mut unique = [0; 16];
        random.fill(&mut unique).map_err(unable)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let claims = encode(&Claims {
            aud: audience,
            iss: client_id,
            sub: client_id,
            jti: guid(unique),
            nbf: now,
            iat: now,
            exp: now + LIFE,
        });
        // Allocated once: a string that grows leaves copies behind.
        let length = self.header.len() + claims.len() + 2 + 2 * LONGEST_SIGNATURE;
        let mut jwt = Zeroizing::new(String::with_capacity(length));
        jwt.extend([&self.header, ".", &claims]);
        let signature = match &self.key {
            Key::External(key) => key.sign(self.algorithm, jwt.as_bytes(), call)?,
            Key::Own(key) => {
                let padding: &dyn ring::signature::RsaEncoding = match self.algorithm {
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    Algorithm::Rs256 => &RSA_PKCS1_SHA256,
                };
                let mut signature = Zeroizing::new(vec![0; key.public().modulus_len()]);
                key.sign(padding, &random, jwt.as_bytes(), &mut signature).map_err(unable)?;
                signature
            }
        };
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(&*signature, &mut jwt);
        Ok(jwt)
    }
}

/// Of a key of 4096 bits.
const LONGEST_SIGNATURE: usize = 512;

fn unable(_: ring::error::Unspecified) -> Error {
    let message = "the assertion could not be signed: the system gave no randomness";
    Error::new(Status::Internal, message)
}

/// A random GUID, version 4.
fn guid(mut bytes: [u8; 16]) -> String {
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

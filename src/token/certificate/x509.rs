//! The few fields of a certificate that matter here.
//!
//! Source: RFC 5280, section 4.1.

use std::time::{SystemTime, UNIX_EPOCH};

use der::Tag;
use der::asn1::{AnyRef, GeneralizedTime, UtcTime};

use super::Trouble;
use super::der::Fields;

/// A certificate, read but not verified: that is the sign-in service's affair.
#[derive(Clone, Copy)]
pub(super) struct X509<'a> {
    pub der: &'a [u8],
    pub issuer: &'a [u8],
    pub subject: &'a [u8],
    pub not_before: SystemTime,
    pub not_after: SystemTime,
    /// For RSA an encoded RSAPublicKey.
    pub public_key: &'a [u8],
}

impl<'a> X509<'a> {
    pub(super) fn read(der: &'a [u8]) -> Result<X509<'a>, Trouble> {
        let mut signed = Fields::of_sequence(der)?.sequence()?;
        signed.tagged(0, true)?; // version
        signed.any()?; // serial number
        signed.any()?; // signature algorithm
        let issuer = signed.whole()?;
        let mut validity = signed.sequence()?;
        let subject = signed.whole()?;
        let mut key = signed.sequence()?;
        key.any()?; // algorithm
        Ok(X509 {
            der,
            issuer,
            subject,
            not_before: time(validity.any()?)?,
            not_after: time(validity.any()?)?,
            public_key: key.bits()?,
        })
    }

    pub(super) fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }
}

fn time(field: AnyRef<'_>) -> Result<SystemTime, Trouble> {
    let since = match der::Tagged::tag(&field) {
        Tag::UtcTime => field.decode_as::<UtcTime>()?.to_unix_duration(),
        _ => field.decode_as::<GeneralizedTime>()?.to_unix_duration(),
    };
    UNIX_EPOCH.checked_add(since).ok_or(Trouble::Damaged)
}

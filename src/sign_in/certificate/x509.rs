//! The few fields of a certificate that its owner needs.
//!
//! Source: RFC 5280, section 4.1.

use std::time::SystemTime;

use der::asn1::AnyRef;
use der::{Tag, Tagged};

use super::der::Fields;
use super::{Trouble, oid};

/// A certificate that is read but not verified: the sign-in service or the gateway does that.
pub(super) struct X509<'a> {
    pub der: &'a [u8],
    pub issuer: &'a [u8],
    pub subject: &'a [u8],
    pub validity: Validity,
    /// The kind of the key.
    algorithm: &'a [u8],
    /// For RSA an encoded RSAPublicKey, for EC a point.
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
        let algorithm = key.sequence()?.oid()?;
        Ok(X509 {
            der,
            issuer,
            subject,
            validity: Validity {
                not_before: moment(validity.any()?)?,
                not_after: moment(validity.any()?)?,
            },
            algorithm,
            public_key: key.bits()?,
        })
    }

    /// The length of a signature in bytes, if the sign-in service accepts the key.
    pub(super) fn rsa_length(&self) -> Result<usize, Trouble> {
        match self.algorithm {
            oid::RSA => {}
            oid::EC => return Err(Trouble::WrongKind("a certificate with an EC key")),
            _ => return Err(Trouble::WrongKind("a certificate with a key of another kind")),
        }
        match Fields::of_sequence(self.public_key)?.unsigned()?.len() {
            ..256 => {
                Err(Trouble::WrongKind("a certificate with an RSA key of less than 2048 bits"))
            }
            length @ ..=512 => Ok(length),
            _ => Err(Trouble::WrongKind("a certificate with an RSA key of more than 4096 bits")),
        }
    }

    pub(super) fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }
}

/// From and until when a certificate is valid.
#[derive(Clone)]
pub(crate) struct Validity {
    pub not_before: Moment,
    pub not_after: Moment,
}

/// A time, and its text for messages.
#[derive(Clone)]
pub(crate) struct Moment {
    pub at: SystemTime,
    pub text: String,
}

/// `YYMMDDHHMMSSZ`, in which the year is one from 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn moment(field: AnyRef<'_>) -> Result<Moment, Trouble> {
    let digits = std::str::from_utf8(field.value()).unwrap_or_default();
    let (century, digits) = match field.tag() {
        Tag::UtcTime if digits < "5" => ("20", digits),
        Tag::UtcTime => ("19", digits),
        _ => digits.split_at_checked(2).ok_or(Trouble::Damaged)?,
    };
    let mut text = century.to_owned();
    for (at, digit) in digits.char_indices() {
        match at {
            2 | 4 => text.push('-'),
            6 => text.push('T'),
            8 | 10 => text.push(':'),
            _ => {}
        }
        text.push(digit);
    }
    let at = humantime::parse_rfc3339(&text).map_err(|_| Trouble::Damaged)?;
    Ok(Moment { at, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_times_are_read() {
        let text = |tag, digits: &str| {
            let moment = moment(AnyRef::new(tag, digits.as_bytes()).unwrap()).ok()?;
            assert_eq!(humantime::format_rfc3339_seconds(moment.at).to_string(), moment.text);
            Some(moment.text)
        };
        let utc = |digits| text(Tag::UtcTime, digits);
        let general = |digits| text(Tag::GeneralizedTime, digits);
        assert_eq!(utc("210203040506Z").unwrap(), "2021-02-03T04:05:06Z");
        assert_eq!(utc("491231235959Z").unwrap(), "2049-12-31T23:59:59Z");
        assert_eq!(utc("990102030405Z").unwrap(), "1999-01-02T03:04:05Z");
        assert_eq!(general("20500102030405Z").unwrap(), "2050-01-02T03:04:05Z");
        for bad in ["", "2", "210203040506", "211303040506Z", "2102030405Z", "21020304050\u{e9}"] {
            assert_eq!((utc(bad), general(bad)), (None, None), "{bad}");
        }
    }
}

//! Content in other forms than PEM, PKCS#12 and DER: some are undone, the others are named with the way to convert them.

use zeroize::Zeroizing;

use super::der::Fields;
use super::{Trouble, oid, pem};

/// A format that is not read here, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub what: &'static str,
    pub advice: &'static str,
}

const fn other(what: &'static str, advice: &'static str) -> Other {
    Other { what, advice }
}

const KEYTOOL: &str = "convert it with: keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 \
    -deststoretype PKCS12";

const PKCS7: &str = "PKCS#7, which has certificates without a key";
const PRINT_CERTIFICATES: &str =
    "convert it with: openssl pkcs7 -print_certs -in FILE -out NEW.pem (and -inform DER)";

/// By the first bytes of the file.
const BEGINNINGS: [(&[u8], Other); 8] = [
    (b"", other("nothing in it", "expected PEM or PKCS#12")),
    (b"\xfe\xed\xfe\xed", other("a Java keystore (JKS)", KEYTOOL)),
    (b"\xce\xce\xce\xce", other("a Java keystore (JCEKS)", KEYTOOL)),
    (
        b"\x1e\xf1\xb5\xb0",
        other("a PVK key", "convert it with: openssl rsa -inform PVK -in FILE -out NEW.pem"),
    ),
    (
        b"PuTTY-User-Key-File",
        other("a PuTTY key", "convert it with: puttygen FILE -O private-openssh -o NEW.pem"),
    ),
    (
        b"0\x80",
        other(
            "PKCS#12 with indefinite lengths (BER)",
            "convert it with: openssl pkcs12 -in FILE -nodes -out ALL.pem",
        ),
    ),
    (b"{", other("JSON", "expected PEM or PKCS#12")),
    (b"<", other("XML", "expected PEM or PKCS#12")),
];

/// By the label of a PEM block.
const LABELS: [(&str, Other); 7] = [
    ("PUBLIC KEY", other("a public key", "expected the private key")),
    ("RSA PUBLIC KEY", other("a public key", "expected the private key")),
    (
        "OPENSSH PRIVATE KEY",
        other("an OpenSSH key", "convert a copy of it with: ssh-keygen -p -m PKCS8 -f COPY"),
    ),
    ("CERTIFICATE REQUEST", REQUEST),
    ("NEW CERTIFICATE REQUEST", REQUEST),
    ("PKCS7", other(PKCS7, PRINT_CERTIFICATES)),
    ("CMS", other(PKCS7, PRINT_CERTIFICATES)),
];

const REQUEST: Other = other("a certificate request", "expected the certificate issued for it");

/// The format of content that is neither PEM, PKCS#12, a certificate nor a key.
pub(super) fn of_bytes(bytes: &[u8]) -> Option<Other> {
    let is_pkcs7 = Fields::of_sequence(bytes)
        .is_ok_and(|mut fields| fields.oid().is_ok_and(|it| it == oid::PKCS7_SIGNED_DATA));
    if is_pkcs7 {
        return Some(other(PKCS7, PRINT_CERTIFICATES));
    }
    let text = bytes.trim_ascii_start();
    let begins =
        |start: &[u8]| if start.is_empty() { text.is_empty() } else { text.starts_with(start) };
    BEGINNINGS.iter().find(|(start, _)| begins(start)).map(|(_, other)| *other)
}

pub(super) fn of_label(label: &str) -> Option<Other> {
    LABELS.iter().find(|(known, _)| *known == label).map(|(_, other)| *other)
}

/// The content as the readers know it: no UTF-16, no Base64 around the whole, and nothing after DER.
pub(super) fn plain(content: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let mut content = from_utf16(&content).unwrap_or(content);
    if let Some(inner) = from_base64(&content) {
        content = inner;
    }
    // Editors and shells add a line end to whatever they write.
    let whole = Fields::of_content(&content).and_then(|mut all| Ok(all.whole()?.len()));
    if let Ok(length) = whole {
        if content.get(length..).is_some_and(|rest| rest.trim_ascii().is_empty()) {
            content.truncate(length);
        }
    }
    content
}

/// PowerShell writes UTF-16 with `>`. DER begins with none of these patterns.
fn from_utf16(content: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (units, is_little) = match content {
        [0xff, 0xfe, rest @ ..] => (rest, true),
        [0xfe, 0xff, rest @ ..] => (rest, false),
        [_, 0, ..] => (content, true),
        [0, _, ..] => (content, false),
        _ => return None,
    };
    let mut text = Zeroizing::new(Vec::with_capacity(units.len() / 2));
    // All that is read is ASCII, and comments may have any encoding.
    text.extend(units.chunks_exact(2).map(|unit| match (unit, is_little) {
        ([low, 0], true) | ([0, low], false) => *low,
        _ => b'?',
    }));
    Some(text)
}

/// What vaults and Kubernetes hand out: a PKCS#12 or PEM file in Base64. `None` if the text is anything else, such as a path.
pub(super) fn from_base64(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let inner = pem::from_base64(text).ok()?;
    let is_der = || inner.len() > 128 && Fields::of_sequence(&inner).is_ok();
    (pem::is_pem(&inner) || is_der()).then_some(inner)
}

/// The certificate of a `TRUSTED CERTIFICATE`, which OpenSSL's own remarks follow.
pub(super) fn trusted(content: &[u8]) -> Result<&[u8], Trouble> {
    Fields::of_content(content)?.whole()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_named() {
        for (bytes, what) in [
            (&b"\xfe\xed\xfe\xed\0\0\0\x02"[..], "JKS"),
            (b"\xce\xce\xce\xce\0\0\0\x02", "JCEKS"),
            (b"PuTTY-User-Key-File-3: ssh-rsa\n", "PuTTY"),
            (b" {\"kty\":\"RSA\"}", "JSON"),
            (b"\n<RSAKeyValue>", "XML"),
            (b"0\x80\x02\x01\x03", "BER"),
            (b"  \n", "nothing"),
            (b"0\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", "PKCS#7"),
        ] {
            assert!(of_bytes(bytes).unwrap().what.contains(what), "{what}");
        }
        assert_eq!(of_bytes(b"words"), None);
        assert_eq!(of_bytes(&[0x30, 0x03, 0x02, 0x01, 0x03]), None);
    }

    #[test]
    fn utf_16_in_both_orders_becomes_ascii() {
        let text = "-----BEGIN A-----\u{20ac}\n";
        for (mark, is_little) in [(true, true), (true, false), (false, true), (false, false)] {
            let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
            let bytes: Vec<u8> = units
                .flat_map(|unit| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() })
                .collect();
            assert_eq!(**from_utf16(&bytes).unwrap(), *b"-----BEGIN A-----?\n");
        }
        assert!(
            from_utf16(b"-----BEGIN A-----").is_none() && from_utf16(&[0x30, 0x82, 1]).is_none()
        );
    }

    #[test]
    fn a_path_is_no_base64_of_a_file() {
        for path in ["MAA=", "/etc/agent/agent.pfx", "agent.pem", "MIIB/MIIC", ""] {
            assert!(from_base64(path.as_bytes()).is_none(), "{path}");
        }
        let pem = from_base64(b"LS0tLS1CRUdJTiBBLS0tLS0=\\n").unwrap();
        assert_eq!(**pem, *b"-----BEGIN A-----");
    }
}

//! PEM: DER in Base64 between lines that say what it is. The TLS library's reader passes over encrypted keys,
//! so this is one that does not.
//!
//! Source: RFC 7468.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::Trouble;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One block of a file.
pub(super) struct Section<'a> {
    pub label: &'a str,
    pub content: Zeroizing<Vec<u8>>,
}

/// Whether this is PEM at all.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes())
}

/// All blocks, in order. What stands between them is a comment.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, Trouble> {
    let mut rest = std::str::from_utf8(bytes).map_err(|_| Trouble::Damaged)?;
    let mut sections = Vec::new();
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, after) = after.split_once(DASHES).ok_or(Trouble::Damaged)?;
        let (body, after) = after.split_once(END).ok_or(Trouble::Damaged)?;
        rest = after
            .strip_prefix(label)
            .and_then(|after| after.strip_prefix(DASHES))
            .ok_or(Trouble::Damaged)?;
        // The older way to encrypt a key: a digest of one pass, nothing that protects a password.
        if body.contains("Proc-Type:") {
            return Err(Trouble::Unsupported("the older encryption of PEM (Proc-Type)"));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(body.len()));
        text.extend(body.bytes().filter(|b| !b.is_ascii_whitespace()));
        // In one piece: a vector that grows leaves copies behind.
        let mut content = Zeroizing::new(Vec::with_capacity(text.len()));
        BASE64.decode_vec(&*text, &mut content).map_err(|_| Trouble::Damaged)?;
        sections.push(Section { label, content });
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_between_comments() {
        let text =
            b"Bag Attributes\n  x: y\n-----BEGIN A B-----\r\nAQ\r\nID\r\n-----END A B-----\n\
            -----BEGIN C-----\nBA==\n-----END C-----";
        let found = sections(text).unwrap();
        let found: Vec<_> = found.iter().map(|s| (s.label, s.content.to_vec())).collect();
        assert_eq!(found, [("A B", vec![1, 2, 3]), ("C", vec![4])]);
        assert!(sections(b"nothing").unwrap().is_empty());
    }

    #[test]
    fn damage() {
        for bad in [
            "-----BEGIN A-----\nAQID\n",
            "-----BEGIN A-----\nAQID\n-----END B-----\n",
            "-----BEGIN A-----\nA?ID\n-----END A-----\n",
            "-----BEGIN A\nAQID\n",
        ] {
            assert!(matches!(sections(bad.as_bytes()), Err(Trouble::Damaged)), "{bad}");
        }
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAQID\n-----END RSA PRIVATE KEY-----";
        assert!(matches!(sections(old.as_bytes()), Err(Trouble::Unsupported(_))));
    }
}

//! PEM: DER in Base64 between lines with a label. The TLS library's reader skips encrypted keys, so this one is needed.
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

/// Whether the text has a PEM block.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    split(bytes, BEGIN).is_some()
}

/// The bytes before and after the first `mark`.
fn split<'a>(bytes: &'a [u8], mark: &str) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark.as_bytes())?;
    Some((bytes.get(..at)?, bytes.get(at + mark.len()..)?))
}

/// All blocks, in order. The text between them is a comment in any encoding.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, Trouble> {
    let mut rest = bytes;
    let mut sections = Vec::new();
    while let Some((_, after)) = split(rest, BEGIN) {
        let (label, after) = split(after, DASHES).ok_or(Trouble::Damaged)?;
        let (body, after) = split(after, END).ok_or(Trouble::Damaged)?;
        rest = after
            .strip_prefix(label)
            .and_then(|after| after.strip_prefix(DASHES.as_bytes()))
            .ok_or(Trouble::Damaged)?;
        let label = std::str::from_utf8(label).map_err(|_| Trouble::Damaged)?;
        // The older encryption of keys: a single hash hardly protects the password.
        if split(body, "Proc-Type:").is_some() {
            return Err(Trouble::Unsupported("PEM's older encryption (Proc-Type, DEK-Info)"));
        }
        sections.push(Section { label, content: from_base64(body)? });
    }
    Ok(sections)
}

/// The content of Base64 with line ends, which environment variables and JSON often hold as `\n`.
pub(super) fn from_base64(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    // Both are allocated once: a vector that grows leaves copies behind.
    let mut bare = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut before = 0;
    for &byte in text {
        let is_line_end = before == b'\\' && matches!(byte, b'n' | b'r' | b't');
        if !is_line_end && !byte.is_ascii_whitespace() && byte != b'\\' {
            bare.push(byte);
        }
        before = byte;
    }
    let mut content = Zeroizing::new(Vec::with_capacity(bare.len()));
    BASE64.decode_vec(&*bare, &mut content).map_err(|_| Trouble::Damaged)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_between_comments_are_read() {
        let text =
            b"Bag Attributes\n  x: y\n-----BEGIN A B-----\r\nAQ\r\nID\r\n-----END A B-----\n\
            -----BEGIN C-----\nBA==\n-----END C-----";
        let found = sections(text).unwrap();
        let found: Vec<_> = found.iter().map(|s| (s.label, s.content.to_vec())).collect();
        assert_eq!(found, [("A B", vec![1, 2, 3]), ("C", vec![4])]);
        assert!(sections(b"nothing").unwrap().is_empty());
    }

    #[test]
    fn comments_may_have_any_encoding() {
        let text =
            b"friendlyName: Schl\xfcssel\n-----BEGIN A-----\nAQID\n-----END A-----\n\xff\xfe";
        let found = sections(text).unwrap();
        assert_eq!((found[0].label, found[0].content.as_slice()), ("A", &[1, 2, 3][..]));
        for bad in [
            &b"-----BEGIN \xfc-----\nAQID\n-----END \xfc-----"[..],
            b"-----BEGIN A-----\nAQ\xfcID\n-----END A-----",
        ] {
            assert!(matches!(sections(bad), Err(Trouble::Damaged)));
        }
    }

    #[test]
    fn line_ends_may_be_escaped() {
        for text in [
            r"-----BEGIN A-----\nAQ\nID\n-----END A-----\n",
            r"-----BEGIN A-----\r\nAQID\r\n-----END A-----",
            r"-----BEGIN A-----\\nAQ\\nID\\n-----END A-----",
            "-----BEGIN A-----\\n\\\nAQID\\n-----END A-----",
            "'-----BEGIN A----- AQ ID -----END A-----'",
        ] {
            assert_eq!(*sections(text.as_bytes()).unwrap()[0].content, [1, 2, 3], "{text}");
        }
    }

    #[test]
    fn damaged_blocks_are_refused() {
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

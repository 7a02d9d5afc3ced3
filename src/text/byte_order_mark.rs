//! The mark with which some systems begin every text: .NET's writers, PowerShell, editors on Windows, API gateways.

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Removes the mark from bytes that came from outside, wherever they are read. No binary format here begins with it.
pub(crate) fn remove(bytes: &mut Vec<u8>) {
    while bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mark_at_the_beginning_is_removed() {
        for (text, rest) in [
            ("\u{feff}{}", "{}"),
            ("\u{feff}\u{feff}x", "x"),
            ("\u{feff}", ""),
            ("x\u{feff}", "x\u{feff}"),
            ("", ""),
        ] {
            let mut bytes = text.as_bytes().to_vec();
            remove(&mut bytes);
            assert_eq!(bytes, rest.as_bytes());
        }
    }
}

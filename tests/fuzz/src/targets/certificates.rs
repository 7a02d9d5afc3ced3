//! Certificates and keys: `form | length and bytes of a key | PEM, or DER and PKCS#12 in Base64`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mde::fuzz_hooks;

use super::input::Input;
use super::{SECRET, check_error};

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let form = input.byte();
    let key = (form & 1 != 0).then(|| {
        let length = input.word();
        text(input.take(length.into()))
    });
    let password = match form & 6 {
        0 => None,
        2 => Some(""),
        4 => Some("x"),
        _ => Some(SECRET),
    };
    let certificate = text(input.rest());
    if certificate.is_empty() {
        return;
    }
    if let Err(error) =
        fuzz_hooks::certificate(form & 8 != 0, &certificate, key.as_deref(), password)
    {
        check_error(&error);
        assert!(!error.message().contains(SECRET), "{error}");
        // Nothing is read but what was passed.
        assert!(!error.message().contains("cannot be read"), "{error}");
    }
}

/// As an option has it: a text in PEM as it is, everything else in Base64.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN ") => text.to_owned(),
        _ => STANDARD.encode(bytes),
    }
}

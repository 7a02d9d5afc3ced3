//! One file per target. `run` takes the bytes of one input, and panics if the library does something that it must not do.

pub mod c_calls;
pub mod certificates;
pub mod devices;
pub mod fetch;
pub mod headers;
mod input;
pub mod journal;
pub mod json_get;
pub mod options;
pub mod proxies;
pub mod quota_file;
mod readers;
pub mod redirects;
pub mod replies;
mod scratch;
mod server;
pub mod states;
pub mod zip;
mod zip_builder;

use mde::Error;

/// A word that no text of the library contains. What is secret contains it.
const SECRET: &str = "Zq7Xsecret";

/// What holds for every error, whatever the peer has sent.
fn check_error(error: &Error) {
    const INVISIBLE: [char; 6] =
        ['\u{200b}', '\u{202e}', '\u{2028}', '\u{2066}', '\u{feff}', '\u{ad}'];
    let texts = [Some(error.message()), error.service_code(), error.request_id()];
    for text in texts.into_iter().flatten() {
        let bad = |c: char| c.is_control() || INVISIBLE.contains(&c);
        assert!(!text.contains(bad), "not cleaned: {text:?}");
        assert!(text.len() < 8_192, "a text of {} bytes", text.len());
    }
    let json: serde_json::Value = serde_json::from_str(&error.to_json()).expect("JSON");
    assert!(json["error"]["message"].is_string(), "{json}");
    assert!(error.retry_after().is_none_or(|wait| wait.as_secs() <= 24 * 3_600));
}

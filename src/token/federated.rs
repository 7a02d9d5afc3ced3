//! A token of another issuer that Entra trusts (workload identity federation), in a file that its issuer keeps
//! up to date.
//!
//! Source: "Workload identity federation", "Microsoft Entra Workload ID on AKS" (the file rotates).

use std::fs::File;
use std::io::Read;

use zeroize::Zeroizing;

use crate::net::agent::SecretLine;
use crate::net::failure::reason;
use crate::{Error, Result, Status};

/// Tokens of Kubernetes have a few KiB.
const MAX_FILE: u64 = 64 * 1024;

/// Where the token lies.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: String,
    /// Who named the file, for messages.
    named_by: &'static str,
}

impl TokenFile {
    pub(crate) fn new(path: String, named_by: &'static str) -> TokenFile {
        TokenFile { path, named_by }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The token that lies there now.
    pub(super) fn read(&self) -> Result<Zeroizing<String>> {
        let refused = |problem: String| {
            let message = format!(
                "the file that {} names {problem}; expected one token, which its issuer keeps up to date",
                self.named_by
            );
            Error::new(Status::Token, message)
        };
        let unreadable = |error| refused(format!("is not readable: {}", reason(&error)));
        // Looked at before it is opened: opening a pipe may block.
        let metadata = std::fs::metadata(&self.path).map_err(unreadable)?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err(refused(format!("is not a file of up to {MAX_FILE} bytes")));
        }
        // As large as it may become, since a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize + 1));
        let file = File::open(&self.path).map_err(unreadable)?;
        file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
        let token = text.trim_ascii();
        match SecretLine::can_carry(token) && text.len() as u64 <= MAX_FILE {
            true => Ok(Zeroizing::new(token.to_owned())),
            false => Err(refused("is empty, or holds more than one token".to_owned())),
        }
    }
}

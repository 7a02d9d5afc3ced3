//! A token of another issuer that Entra trusts (workload identity federation), in a file that its issuer keeps up to
//! date.
//!
//! Source: "Workload identity federation", "Microsoft Entra Workload ID on AKS" (the file rotates).

use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::os::small_file;
use crate::status::Status;
use crate::text::secret_line::SecretLine;

/// Kubernetes' tokens have a few KiB.
const MAX_FILE: u64 = 64 * 1024;

/// The file with the token.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: String,
    /// The option or variable that named the file, for messages.
    named_by: &'static str,
}

impl TokenFile {
    pub(crate) fn new(path: String, named_by: &'static str) -> TokenFile {
        TokenFile { path, named_by }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Reads the current token.
    pub(super) fn read(&self) -> Result<Zeroizing<String>> {
        let token = small_file::read_word(Path::new(&self.path), MAX_FILE);
        let problem = match token {
            Ok(token) if SecretLine::can_carry(&token) => return Ok(token),
            Ok(_) => "is empty, or holds more than one token".to_owned(),
            Err(problem) => problem,
        };
        let message = format!(
            "the file that {} names {problem}; expected one token, which its issuer keeps up to date",
            self.named_by
        );
        Err(Error::new(Status::Token, message))
    }
}

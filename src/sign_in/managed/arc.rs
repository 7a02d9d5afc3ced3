//! Azure Arc: the agent on the server answers with a challenge. Only administrators can read the file that it names.
//!
//! Source: "Authenticate against Azure resources with Azure Arc-enabled servers".

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Which;
use crate::error::{Error, Result};
use crate::http::reply::Reply;
use crate::os::io_error::reason;
use crate::os::small_file;
use crate::status::Status;
use crate::text::secret_line::SecretLine;

pub(super) const ENDPOINT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";

const MAX_FILE: u64 = 4_096;

pub(super) const HEADER: &str = "authorization";
pub(super) const SCHEME: &str = "Basic ";

/// The folder of the agent's key files.
pub(super) fn folder() -> Option<PathBuf> {
    if cfg!(windows) {
        let data = env::var_os("ProgramData").filter(|data| !data.is_empty())?;
        Some(Path::new(&data).join("AzureConnectedMachineAgent").join("Tokens"))
    } else {
        Some(PathBuf::from("/var/opt/azcmagent/tokens"))
    }
}

/// Whether the agent is installed: the environment does not always name it.
pub(super) fn is_installed() -> bool {
    if cfg!(windows) {
        let programs = env::var_os("ProgramFiles").filter(|programs| !programs.is_empty());
        programs.is_some_and(|programs| {
            Path::new(&programs).join("AzureConnectedMachineAgent").join("himds.exe").exists()
        })
    } else {
        Path::new("/opt/azcmagent/bin/himds").exists()
    }
}

pub(super) fn query(which: &Which) -> Result<String> {
    match which {
        Which::System => Ok("&api-version=2019-11-01".to_owned()),
        _ => {
            let message = "option `managed_identity`: servers that Azure Arc manages have only one identity; \
                expected system";
            Err(Error::new(Status::Config, message))
        }
    }
}

/// The answer to the agent's challenge: `Basic realm=<file>`.
pub(super) fn answer(reply: &Reply, folder: Option<&Path>) -> Result<SecretLine> {
    let refused = |problem: &str| {
        let message = format!("the challenge of Azure Arc's agent {problem}");
        Error::new(Status::Token, message)
    };
    let challenge = reply.challenge.as_deref().unwrap_or_default();
    let path = challenge
        .split_once("realm=")
        .map(|(_, path)| path.trim().trim_matches('"'))
        .filter(|path| !path.is_empty())
        .ok_or_else(|| refused("names no file; is this the agent?"))?;
    let folder = folder.ok_or_else(|| refused("names a file, and ProgramData is not set"))?;
    let key = read(Path::new(path), folder).map_err(|problem| refused(&problem))?;
    // The key is used as it is, without Base64.
    Ok(SecretLine::new(HEADER, &Zeroizing::new([SCHEME, key.as_str()].concat())))
}

/// Reads a key file of `folder`. A false agent must not get the content of other files. So folder, extension and size
/// are checked, after symbolic links are resolved.
fn read(path: &Path, folder: &Path) -> std::result::Result<Zeroizing<String>, String> {
    let unreadable = |error| {
        format!(
            "names a file that is not readable: {}; run as an administrator or in the agent's group (himds)",
            reason(&error)
        )
    };
    if path.extension().is_none_or(|ending| ending != "key") {
        return Err("names a file that is no .key".to_owned());
    }
    let real = fs::canonicalize(path).map_err(unreadable)?;
    let folder = fs::canonicalize(folder).map_err(unreadable)?;
    if real.parent() != Some(&folder) || real.extension().is_none_or(|ending| ending != "key") {
        return Err("names a file outside of the agent's folder".to_owned());
    }
    let key =
        small_file::read_word(&real, MAX_FILE).map_err(|why| format!("names a file that {why}"))?;
    match SecretLine::can_carry(&key) {
        true => Ok(key),
        false => Err("names a file that holds no key".to_owned()),
    }
}

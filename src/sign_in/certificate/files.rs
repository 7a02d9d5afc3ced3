//! The files that the options of a certificate name.

use std::path::{self, Path};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::key::Key;
use super::{Trouble, formats, pem};
use crate::error::{Error, Result};
use crate::os::small_file;
use crate::sign_in::identity::Identity;
use crate::sign_in::signer::Signer;
use crate::status::Status;

/// Chains are short.
const MAX_FILE: u64 = 1 << 20;

/// What a certificate is for. Each has its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    SignIn,
    Tls,
}

impl Role {
    /// The option that names the certificate.
    pub(super) fn certificate(self) -> &'static str {
        match self {
            Role::SignIn => "client_certificate",
            Role::Tls => "tls_certificate",
        }
    }

    /// The option that names a key in a place of its own.
    pub(super) fn key(self) -> &'static str {
        match self {
            Role::SignIn => "client_key",
            Role::Tls => "tls_key",
        }
    }

    /// Where the key may be, for messages.
    pub(super) fn places_of_key(self) -> &'static str {
        match self {
            Role::SignIn => "in the same file, in `client_key`, or a signer",
            Role::Tls => {
                "in the same file or in `tls_key`, since signers are for `client_certificate` alone"
            }
        }
    }

    /// The kinds of keys, for messages.
    pub(super) fn accepted_keys(self) -> &'static str {
        match self {
            Role::SignIn => {
                "an RSA key of 2048, 3072 or 4096 bits, since the sign-in service takes no other kind"
            }
            Role::Tls => "an RSA key of 2048, 3072 or 4096 bits, or an EC key on P-256 or P-384",
        }
    }

    pub(super) fn accepts(self, key: Key) -> std::result::Result<Key, Trouble> {
        match (self, key) {
            (Role::SignIn, Key::Ec(_)) => Err(Trouble::WrongKind("an EC key")),
            (_, key) => Ok(key),
        }
    }
}

/// The values of the options of a certificate.
pub(crate) struct Files {
    pub(super) role: Role,
    certificate: Zeroizing<String>,
    key: Option<Zeroizing<String>>,
    pub(super) password: Option<Zeroizing<String>>,
    /// The host's callback, if it has the key.
    pub(super) signer: Option<Arc<dyn Signer>>,
}

/// What these options name, as it was read.
pub(crate) struct Contents {
    pub(super) certificate: Zeroizing<Vec<u8>>,
    pub(super) key: Option<Zeroizing<Vec<u8>>>,
}

impl Files {
    pub(crate) fn new(
        role: Role,
        certificate: &str,
        key: Option<&Zeroizing<String>>,
        password: Option<&Zeroizing<String>>,
    ) -> Files {
        let key = key.map(|key| with_whole_path(key));
        let (certificate, password) = (with_whole_path(certificate), password.cloned());
        Files { role, certificate, key, password, signer: None }
    }

    /// A certificate to sign in with. `signer` has its key.
    pub(crate) fn for_signer(
        certificate: &str,
        password: Option<&Zeroizing<String>>,
        signer: &Arc<dyn Signer>,
    ) -> Files {
        let files = Files::new(Role::SignIn, certificate, None, password);
        Files { signer: Some(Arc::clone(signer)), ..files }
    }

    pub(super) fn read(&self) -> Result<Contents> {
        let key = self.key.as_ref().map(|key| content(self.role.key(), key));
        Ok(Contents {
            certificate: content(self.role.certificate(), &self.certificate)?,
            key: key.transpose()?,
        })
    }

    /// Whether what is read may be another the next time.
    pub(super) fn may_change(&self) -> bool {
        [Some(&self.certificate), self.key.as_ref()]
            .into_iter()
            .flatten()
            .any(|value| text(value).is_none())
    }

    pub(super) fn identify(&self, identity: &mut Identity) {
        let empty = Zeroizing::default();
        for value in [Some(&self.certificate), self.key.as_ref(), self.password.as_ref()] {
            identity.secret(value.unwrap_or(&empty).as_bytes());
        }
    }
}

impl Contents {
    /// A digest that is equal for equal contents. `None`: the system gave no random key for it.
    pub(super) fn digest(&self) -> Option<Vec<u8>> {
        let mut identity = Identity::new();
        identity.secret(&*self.certificate);
        if let Some(key) = &self.key {
            identity.secret(&**key);
        }
        identity.digest()
    }
}

/// A path becomes absolute, because the host may change its folder later.
fn with_whole_path(value: &str) -> Zeroizing<String> {
    let whole = || Some(path::absolute(value).ok()?.to_str()?.to_owned());
    let whole = if text(value).is_some() { None } else { whole() };
    Zeroizing::new(whole.unwrap_or_else(|| value.to_owned()))
}

/// The content in the option itself. `None`: the option names a file.
fn text(value: &str) -> Option<Zeroizing<Vec<u8>>> {
    match pem::is_pem(value.as_bytes()) {
        true => Some(Zeroizing::new(value.as_bytes().to_vec())),
        false => formats::from_base64(value.as_bytes()),
    }
}

/// The content that an option names: a file, or the text in the option itself.
fn content(option: &str, value: &str) -> Result<Zeroizing<Vec<u8>>> {
    if let Some(content) = text(value) {
        return Ok(content);
    }
    let content = small_file::read(Path::new(value), MAX_FILE).map_err(|problem| {
        let accepted = "the path of a PEM or PKCS#12 file, or the text of one in PEM or Base64";
        let named = shown(value).map(|path| format!(" names `{path}`, which")).unwrap_or_default();
        Error::new(
            Status::Config,
            format!("option `{option}`{named} {problem}; expected {accepted}"),
        )
    })?;
    Ok(formats::plain(content))
}

/// A path for messages. `None`: it could be a key or secret that was set in the place of a path.
fn shown(value: &str) -> Option<&str> {
    const ENDINGS: [&str; 8] = ["pem", "key", "crt", "cer", "cert", "der", "pfx", "p12"];
    let ending = Path::new(value).extension()?.to_str()?;
    let is_known = ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
    let is_path = is_known && value.len() <= 200 && !value.chars().any(char::is_control);
    is_path.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_path_is_shown() {
        for path in ["/etc/agent/agent.pem", r"C:\Program Files\agent.PFX", "client.key"] {
            assert_eq!(shown(path), Some(path));
        }
        let long = format!("/{}.pem", "x".repeat(200));
        for other in [
            "/run/MHcCAQEEIKY+canary/oAoGCCqGSM49",
            r"/run/MHcCAQEEIKY\n-canary\n",
            r#"/run/{"kty":"EC","d":"canary"}"#,
            "/run/abc8Q~canary.-_x",
            "/run/a\n.pem",
            &long,
        ] {
            assert_eq!(shown(other), None, "{other}");
        }
    }
}

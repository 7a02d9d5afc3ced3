//! Certificates of Windows' store, whose keys stay there. Option `client_certificate` names one by its thumbprint.

use super::Pair;
use super::files::Role;
use crate::error::{Error, Result};

/// What names a certificate of the store in an option. `None`: the option names something else.
pub(crate) fn name(value: &str) -> Option<&str> {
    value.strip_prefix("store:")
}

fn refused(problem: &str) -> Error {
    super::refused(Role::SignIn.certificate(), problem)
}

/// Finds a certificate by its [`name`].
#[cfg(not(windows))]
pub(crate) fn find(_: &str, _: bool) -> Result<Pair> {
    let problem = "names Windows' certificate store, which this system does not have; expected the path of a PEM or \
                   PKCS#12 file, or a signer for the key";
    Err(refused(problem))
}

/// Finds a certificate by its [`name`].
#[cfg(windows)]
pub(crate) fn find(name: &str, with_issuers: bool) -> Result<Pair> {
    use std::sync::Arc;

    use super::x509::X509;
    use crate::os::certificate_store::{self, Missing};

    fn read(der: &[u8]) -> Result<X509<'_>> {
        let role = Role::SignIn;
        X509::read(der).map_err(|trouble| trouble.into_error(role, role.certificate()))
    }

    let Name { is_of_machine, store, thumbprint } =
        Name::parse(name).ok_or_else(|| refused(NO_NAME))?;
    let found = certificate_store::find(is_of_machine, store, &thumbprint, with_issuers);
    let found = found.map_err(|missing| {
        let problem = match missing {
            Missing::Store(code) => {
                format!("names a store that cannot be opened ({}); {}", shown(code), advice(code))
            }
            Missing::Certificate => "names a certificate that this store does not have; `certutil -store My` lists \
                                     those of LocalMachine, `certutil -user -store My` those of CurrentUser, which \
                                     each account has for itself"
                .to_owned(),
            Missing::Key(code) => {
                format!("names a certificate without a usable key ({}); {}", shown(code), advice(code))
            }
        };
        refused(&problem)
    })?;
    let own = read(&found.certificate)?;
    let issuers: Result<Vec<_>> = found.issuers.iter().map(|der| read(der)).collect();
    let key = Arc::new(StoreKey(found.key));
    Pair::external(key, "Windows' certificate store", &own, &issuers?)
}

/// The key of a certificate in the store.
#[cfg(windows)]
struct StoreKey(crate::os::certificate_store::Key);

#[cfg(windows)]
impl crate::sign_in::signer::Signer for StoreKey {
    fn sign(
        &self,
        request: &crate::sign_in::signer::SigningRequest<'_>,
    ) -> std::result::Result<Vec<u8>, String> {
        let digest = ring::digest::digest(&ring::digest::SHA256, request.data);
        let is_pss = request.algorithm == super::Algorithm::Ps256.name();
        self.0
            .sign(digest.as_ref(), is_pss)
            .map_err(|code| format!("{}; {}", shown(code), advice(code)))
    }
}

#[cfg(windows)]
const NO_NAME: &str = "names no certificate of Windows' store; expected store:CurrentUser/My/THUMBPRINT or \
                       store:LocalMachine/My/THUMBPRINT, with the 40 hexadecimal digits of the certificate's SHA-1";

/// A certificate of a store.
#[cfg(any(windows, test))]
#[derive(Debug, PartialEq, Eq)]
struct Name<'a> {
    is_of_machine: bool,
    store: &'a str,
    thumbprint: [u8; 20],
}

#[cfg(any(windows, test))]
impl Name<'_> {
    /// Reads `CurrentUser/My/THUMBPRINT`. The dialogue that shows a thumbprint puts blanks between its digits, and a mark
    /// of the writing direction in front.
    fn parse(text: &str) -> Option<Name<'_>> {
        let (location, rest) = text.split_once(['/', '\\'])?;
        let (store, digits) = rest.split_once(['/', '\\'])?;
        let is_of_machine = match location.to_ascii_lowercase().as_str() {
            "currentuser" => false,
            "localmachine" => true,
            _ => return None,
        };
        let passed = |c: &char| !matches!(c, ' ' | ':' | '\u{200e}');
        let digits: Option<Vec<_>> =
            digits.chars().filter(passed).map(|c| c.to_digit(16)).collect();
        let digits = digits.filter(|all| all.len() == 40 && !store.is_empty())?;
        let mut thumbprint = [0; 20];
        for (byte, pair) in thumbprint.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8);
        }
        Some(Name { is_of_machine, store, thumbprint })
    }
}

/// A code as Windows' own documentation has it.
#[cfg(windows)]
fn shown(code: u32) -> String {
    format!("0x{code:08X}")
}

/// What to change when Windows refuses.
#[cfg(any(windows, test))]
fn advice(code: u32) -> &'static str {
    match code {
        // CRYPT_E_NO_KEY_PROPERTY
        0x8009_200b => "the store has no key of it; import it with its key, from a PFX file",
        // ERROR_ACCESS_DENIED, NTE_PERM, NTE_BAD_KEYSET, NTE_NO_KEY, NTE_NOT_FOUND
        5 | 0x8007_0005 | 0x8009_0010 | 0x8009_0016 | 0x8009_000d | 0x8009_0011 => {
            "let the account of this process read it: certlm.msc, All Tasks, Manage Private Keys"
        }
        // NTE_SILENT_CONTEXT
        0x8009_0022 => {
            "the key asks for a PIN or a confirmation, and this library shows no window; use another key"
        }
        // NTE_NOT_SUPPORTED, NTE_BAD_PROV_TYPE, NTE_PROV_TYPE_NOT_DEF, NTE_BAD_FLAGS, NTE_INVALID_HANDLE
        0x8009_0029 | 0x8009_0014 | 0x8009_0017 | 0x8009_0009 | 0x8009_0026 => {
            "the key's provider cannot make this signature; set `certificate_algorithm` to the other one, or import the \
             key with a key storage provider (certutil -csp)"
        }
        _ => "Windows documents the code under NTE_, CRYPT_E_ or SCARD_",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_read_as_dialogues_and_tools_show_it() {
        let expected = |is_of_machine| Name { is_of_machine, store: "My", thumbprint: [0xa1; 20] };
        let plain = "a1".repeat(20);
        for digits in [plain.clone(), plain.to_uppercase(), "A1 ".repeat(20), "a1:".repeat(20)] {
            for digits in [digits.clone(), format!("\u{200e}{digits}")] {
                let of_user = format!("CurrentUser/My/{digits}");
                assert_eq!(Name::parse(&of_user), Some(expected(false)), "{of_user}");
                let of_machine = format!("localmachine\\My\\{digits}");
                assert_eq!(Name::parse(&of_machine), Some(expected(true)), "{of_machine}");
            }
        }
        for bad in [
            format!("My/{plain}"),
            format!("Machine/My/{plain}"),
            format!("CurrentUser//{plain}"),
            format!("CurrentUser/My/{}", &plain[1..]),
            format!("CurrentUser/My/{}x", &plain[1..]),
            format!("CurrentUser/My/{plain}00"),
            "CurrentUser/My/".to_owned(),
            String::new(),
        ] {
            assert_eq!(Name::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn each_refusal_of_windows_has_its_advice() {
        for (code, part) in [
            (0x8009_200b, "PFX"),
            (0x8009_0016, "Manage Private Keys"),
            (0x8009_0022, "PIN"),
            (0x8009_0029, "certificate_algorithm"),
            (0x8010_006b, "SCARD_"),
        ] {
            assert!(advice(code).contains(part), "{code:x}");
        }
    }
}

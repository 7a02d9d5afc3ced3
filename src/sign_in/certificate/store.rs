//! Certificates of Windows' store, whose keys stay there. Option `client_certificate` names one by its thumbprint.

#[cfg(windows)]
use std::sync::Arc;

use super::Pair;
#[cfg(windows)]
use super::external::Holder;
use super::files::Role;
use crate::error::{Error, Result};
#[cfg(windows)]
use crate::http::aside::Aside;
#[cfg(windows)]
use crate::os::certificate_store;
#[cfg(windows)]
use crate::os::io_error::reason;
#[cfg(windows)]
use crate::sign_in::signer::{Signer, SigningRequest};

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
    use super::x509::X509;
    use crate::os::certificate_store::Missing;

    fn read(der: &[u8]) -> Result<X509<'_>> {
        let role = Role::SignIn;
        X509::read(der).map_err(|trouble| trouble.into_error(role, role.certificate()))
    }

    let Name { is_of_machine, store, thumbprint } =
        Name::parse(name).ok_or_else(|| refused(NO_NAME))?;
    let found = certificate_store::find(is_of_machine, store, &thumbprint, with_issuers);
    let told = |code| told(code, is_of_machine, Step::Open);
    let found = found.map_err(|missing| {
        let problem = match missing {
            Missing::Store(code) => format!("names a store that cannot be opened: {}", told(code)),
            Missing::Certificate => "names a certificate that this store does not have; `certutil -store My` lists \
                                     those of LocalMachine, `certutil -user -store My` those of CurrentUser, which \
                                     each account has for itself"
                .to_owned(),
            Missing::Key(code) => {
                format!("names a certificate without a usable key: {}", told(code))
            }
        };
        refused(&problem)
    })?;
    let own = read(&found.certificate)?;
    let issuers: Result<Vec<_>> = found.issuers.iter().map(|der| read(der)).collect();
    let key = StoreKey { key: Arc::new(found.key), is_of_machine, signing: Arc::default() };
    Pair::external(Arc::new(key), &HOLDER, &own, &issuers?)
}

#[cfg(windows)]
const HOLDER: Holder = Holder {
    name: "Windows' certificate store",
    check: "check that the key is that of the certificate: certutil -repairstore My THUMBPRINT repairs their link",
};

/// The key of a certificate in the store. It signs on a thread of its own: a TPM or a smart card may take long.
#[cfg(windows)]
struct StoreKey {
    key: Arc<certificate_store::Key>,
    is_of_machine: bool,
    signing: Arc<Aside<std::result::Result<Vec<u8>, u32>>>,
}

#[cfg(windows)]
impl Signer for StoreKey {
    fn sign(&self, request: &SigningRequest<'_>) -> std::result::Result<Vec<u8>, String> {
        let digest = ring::digest::digest(&ring::digest::SHA256, request.data);
        let is_pss = request.algorithm == super::Algorithm::Ps256.name();
        let step = if is_pss { Step::Ps256 } else { Step::Rs256 };
        loop {
            let key = Arc::clone(&self.key);
            let sign = move || key.sign(digest.as_ref(), is_pss);
            let begun = self.signing.join("mde-sign", "", Box::new(sign));
            let (work, is_own) = begun.map_err(|error| {
                format!("the system starts no thread for it ({})", reason(&error))
            })?;
            let made = work.wait_in(&request.call).ok_or("the call has ended")?;
            // The work of an earlier call may have been abandoned. Threads would pile up if each call had its own.
            if is_own {
                return made.map_err(|code| told(code, self.is_of_machine, step));
            }
        }
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

/// What Windows was asked to do.
#[cfg(any(windows, test))]
#[derive(Clone, Copy)]
enum Step {
    Open,
    Ps256,
    Rs256,
}

/// A code as Windows' own documentation has it, and what to change.
#[cfg(any(windows, test))]
fn told(code: u32, is_of_machine: bool, step: Step) -> String {
    let advice = match (code, step) {
        // CRYPT_E_NO_KEY_PROPERTY
        (0x8009_200b, _) => "the store has no key of it; import it with its key, from a PFX file",
        // NTE_BAD_PUBLIC_KEY
        (0x8009_0015, _) => {
            "the key is that of another certificate; repair the link with certutil -repairstore My THUMBPRINT"
        }
        // ERROR_ACCESS_DENIED, NTE_PERM, NTE_BAD_KEYSET, NTE_NO_KEY, NTE_NOT_FOUND
        (5 | 0x8007_0005 | 0x8009_0010 | 0x8009_0016 | 0x8009_000d | 0x8009_0011, _) => {
            match is_of_machine {
                true => {
                    "let the account of this process read it: certlm.msc, All Tasks, Manage Private Keys"
                }
                false => {
                    "the key belongs to another account, or the profile of its account is not loaded; import the \
                     certificate into LocalMachine, or run as that account"
                }
            }
        }
        // NTE_SILENT_CONTEXT
        (0x8009_0022, _) => {
            "the key asks for a PIN or a confirmation, and this library shows no window; use another key"
        }
        // TPM_E_PCP_UNSUPPORTED_PSS_SALT, NTE_INVALID_PARAMETER
        (0x8029_0423 | 0x8009_0027, Step::Ps256) => {
            "the key makes no PS256 with a salt of 32 bytes; set `certificate_algorithm=RS256`"
        }
        // NTE_NOT_SUPPORTED, NTE_BAD_PROV_TYPE, NTE_PROV_TYPE_NOT_DEF, NTE_BAD_FLAGS, NTE_INVALID_HANDLE
        (0x8009_0029 | 0x8009_0014 | 0x8009_0017 | 0x8009_0009 | 0x8009_0026, _) => match step {
            Step::Open => {
                "the key's provider is of an older kind; import the key with a key storage provider (certutil -csp)"
            }
            Step::Ps256 | Step::Rs256 => {
                "the key's provider cannot make this signature; set `certificate_algorithm` to the other one, or \
                 import the key with a key storage provider (certutil -csp)"
            }
        },
        _ => "Windows documents the code under NTE_, CRYPT_E_, SCARD_ or TPM_E_",
    };
    format!("0x{code:08X}; {advice}")
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
        for (code, is_of_machine, step, part) in [
            (0x8009_200b, true, Step::Open, "0x8009200B; the store has no key of it"),
            (0x8009_0015, true, Step::Open, "certutil -repairstore My THUMBPRINT"),
            (0x8009_0016, true, Step::Open, "certlm.msc"),
            (0x8009_0016, false, Step::Open, "the profile of its account is not loaded"),
            (0x8009_0010, false, Step::Rs256, "belongs to another account"),
            (0x8009_0022, false, Step::Ps256, "PIN"),
            (0x8029_0423, true, Step::Ps256, "set `certificate_algorithm=RS256`"),
            (0x8009_0027, true, Step::Ps256, "a salt of 32 bytes"),
            (0x8009_0027, true, Step::Rs256, "Windows documents the code"),
            (0x8009_0029, true, Step::Ps256, "`certificate_algorithm` to the other one"),
            (0x8009_0014, true, Step::Open, "older kind; import the key with"),
            (0x8010_006b, true, Step::Ps256, "SCARD_ or TPM_E_"),
        ] {
            let told = told(code, is_of_machine, step);
            assert!(told.contains(part), "{told}");
        }
    }

    /// A key that is still busy for an earlier call.
    #[cfg(windows)]
    #[test]
    fn a_signature_ends_with_its_call() {
        use std::time::{Duration, Instant};

        use ring::signature::{RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents as Components};

        use crate::call::Call;
        use crate::os::certificate_store::tests::temporary;

        let (key, n, e) = temporary();
        let store = StoreKey { key: Arc::new(key), is_of_machine: false, signing: Arc::default() };
        let sign = |ms| {
            let call = Call::begin(&Arc::default(), Some(Duration::from_millis(ms)), None);
            let call = Arc::new(call);
            store.sign(&SigningRequest { algorithm: "PS256", data: b"data", call })
        };
        let busy = || {
            std::thread::sleep(Duration::from_secs(2));
            Ok(Vec::new())
        };
        store.signing.join("mde-test", "", Box::new(busy)).unwrap();
        let begun = Instant::now();
        assert!(sign(50).is_err());
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        let signature = sign(60_000).unwrap();
        let public = Components { n: &n, e: &e };
        public.verify(&RSA_PSS_2048_8192_SHA256, b"data", &signature).unwrap();
    }
}

//! A certificate whose files may be renewed while a client uses it.
//!
//! Each use reads the files again, a few KiB, and compares what they hold with what they held before. No time of
//! modification and no number of a file tells that as surely. Only another content is decrypted and parsed, and that
//! once. While it is not usable, the certificate from before serves: a file may be half written, or already belong to a
//! key that is still to come.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Pair;
use super::files::{Contents, Files};
use crate::error::Result;
use crate::log::{self, Level};
use crate::sign_in::identity::Identity;

/// Makes what is used of a certificate and its key.
type Make<T> = Box<dyn Fn(Pair) -> Result<T> + Send + Sync>;

pub(crate) struct Renewed<T> {
    /// `None`: nothing is read again, because the options hold the content itself, or the certificate is in no file.
    files: Option<(Files, Make<T>)>,
    state: Mutex<State<T>>,
}

struct State<T> {
    made: Arc<T>,
    /// What the files held when they were opened last.
    seen: Option<Vec<u8>>,
    /// Why what they hold now is not used.
    problem: Option<String>,
}

impl<T> Renewed<T> {
    /// Reads the files for the first time. They must be usable.
    pub(crate) fn new(files: Files, make: Make<T>) -> Result<Renewed<T>> {
        let (pair, seen) = open(&files, &|| files.read())?;
        let state = Mutex::new(State { made: Arc::new(make(pair)?), seen, problem: None });
        let files = files.may_change().then_some((files, make));
        Ok(Renewed { files, state })
    }

    /// What is in no file, and stays as it is.
    pub(crate) fn fixed(made: T) -> Renewed<T> {
        let state = State { made: Arc::new(made), seen: None, problem: None };
        Renewed { files: None, state: Mutex::new(state) }
    }

    /// What was made of the files as they are now or, if they are not usable, as they were.
    pub(crate) fn current(&self) -> Arc<T> {
        if let Some((level, line)) = self.read_again() {
            log::line(level, || line);
        }
        self.made()
    }

    /// What was made of the files when they were read last.
    pub(crate) fn made(&self) -> Arc<T> {
        Arc::clone(&self.state.lock().made)
    }

    /// Returns a line for the log if something has changed.
    fn read_again(&self) -> Option<(Level, String)> {
        let (files, make) = self.files.as_ref()?;
        let option = files.role.certificate();
        let mut state = self.state.lock();
        let opened = match files.read() {
            Ok(contents) => {
                let digest = contents.digest();
                if digest.is_some() && digest == state.seen {
                    return None;
                }
                state.seen = digest;
                Pair::open(files, &contents)
            }
            Err(error) => {
                state.seen = None;
                Err(error)
            }
        };
        let made = opened.and_then(|pair| {
            let until = pair.validity.not_after.text.clone();
            Ok((make(pair)?, until))
        });
        match made {
            Ok((made, until)) => {
                state.made = Arc::new(made);
                state.problem = None;
                let line = format!(
                    "the certificate of `{option}` was read again: it is valid until {until}"
                );
                Some((Level::Info, line))
            }
            Err(error) if state.problem.as_deref() == Some(error.message()) => None,
            Err(error) => {
                let problem = error.message().to_owned();
                let line =
                    format!("the certificate of `{option}` stays in use as it was: {problem}");
                state.problem = Some(problem);
                Some((Level::Warn, line))
            }
        }
    }

    /// Why the files are not used as they are now.
    pub(crate) fn problem(&self) -> Option<String> {
        let problem = self.state.lock().problem.clone()?;
        Some(format!("the certificate's files have changed and are not usable: {problem}"))
    }

    /// Adds the options to an identity: clients with others may have another certificate later.
    pub(crate) fn identify(&self, identity: &mut Identity) {
        if let Some((files, _)) = &self.files {
            files.identify(identity);
        }
    }
}

/// Opens what the files hold, and returns the digest of that.
fn open(files: &Files, read: &dyn Fn() -> Result<Contents>) -> Result<(Pair, Option<Vec<u8>>)> {
    let contents = read()?;
    let seen = contents.digest();
    match Pair::open(files, &contents) {
        Ok(pair) => Ok((pair, seen)),
        Err(error) => {
            // Certificate and key may have been replaced between the two reads.
            let again = read()?;
            let other = again.digest();
            if other == seen { Err(error) } else { Ok((Pair::open(files, &again)?, other)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::sign_in::signer::{Signer, SigningRequest};

    struct Nobody;

    impl Signer for Nobody {
        fn sign(&self, _: &SigningRequest<'_>) -> std::result::Result<Vec<u8>, String> {
            Err(String::new())
        }
    }

    #[test]
    fn the_first_read_may_meet_a_renewal() {
        let whole = &include_bytes!("../../../tests/support/programs/certificate.pem")[..];
        let (half, more) = (&whole[..300], &whole[..600]);
        let signer: Arc<dyn Signer> = Arc::new(Nobody);
        let files = Files::for_signer("/certificate.pem", None, &signer);
        let contents = |bytes: &[u8]| Contents { certificate: bytes.to_vec().into(), key: None };
        for (found, reads, opens) in [
            ([whole, half, half], 1, true),
            ([half, whole, whole], 2, true),
            // Nothing has changed meanwhile, or more has.
            ([half, half, whole], 2, false),
            ([half, more, whole], 2, false),
        ] {
            let count = Cell::new(0);
            let opened = open(&files, &|| Ok(contents(found[count.replace(count.get() + 1)])));
            assert_eq!((count.get(), opened.is_ok()), (reads, opens));
            if let Ok((_, seen)) = opened {
                assert_eq!(seen, contents(whole).digest());
            }
        }
    }
}

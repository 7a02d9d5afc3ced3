//! Why the system refused something.

use std::io;

use crate::text::redact;

/// Why the system refused something, in its own words where it has any: they name no data of ours.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => redact::clean(&io::Error::from_raw_os_error(code).to_string(), 128),
        None if error.kind() == io::ErrorKind::Other => {
            "for a reason the system does not name".to_owned()
        }
        // Said where the error was made.
        None if error.get_ref().is_some() => redact::clean(&error.to_string(), 128),
        None => in_words(error.kind()),
    }
}

/// What kind of failure it was, where the standard library's own words are no help.
pub(crate) fn in_words(kind: io::ErrorKind) -> String {
    use io::ErrorKind::{AlreadyExists, NotFound, UnexpectedEof, WriteZero};
    match kind {
        NotFound => "there is no such file or folder".to_owned(),
        AlreadyExists => "it is there already".to_owned(),
        UnexpectedEof => "it ended too early".to_owned(),
        WriteZero => "nothing more was accepted".to_owned(),
        other => redact::clean(&other.to_string(), 128),
    }
}

/// Whether the process or the system has too many open files. This is transient.
#[cfg(unix)]
pub(crate) fn too_many_open(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(windows)]
pub(crate) fn too_many_open(error: &io::Error) -> bool {
    /// `ERROR_TOO_MANY_OPEN_FILES`
    const TOO_MANY: i32 = 4;
    error.raw_os_error() == Some(TOO_MANY)
}

//! What can be wrong with an archive, or keep the check from its end.

use crate::error::{Error, Result, Stage};
use crate::status::Status;
use crate::text::redact;

/// What was found in the archive, or what kept us from looking.
pub(super) enum Problem {
    Found(&'static str),
    Stopped(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::Stopped(error)
    }
}

impl Problem {
    /// `entry`: the name of the entry it was found in, none for the archive as a whole.
    pub(super) fn into_error(self, entry: Option<&str>) -> Error {
        let what = match self {
            Problem::Found(what) => what,
            Problem::Stopped(error) => return error.with_stage(Stage::Verify),
        };
        let place = match entry {
            Some(name) => format!("entry `{}`", redact::clean(name, 200)),
            None => "the file".to_owned(),
        };
        let message = format!("{place} {what}; do not unpack the file, download the package again");
        Error::new(Status::Integrity, message).with_stage(Stage::Verify)
    }
}

pub(super) type Checked<T> = std::result::Result<T, Problem>;

/// Called every few hundred KiB with the place in the file; an error ends the check. This is how a call's deadline and
/// cancel handle reach it.
pub(crate) type Pause<'a> = &'a dyn Fn(u64) -> Result<()>;

//! Problems with an archive, and errors that stop the check.

use crate::error::{Error, Result, Stage};
use crate::status::Status;
use crate::text::redact;

/// A problem with the archive, or an error that stopped the check.
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
    /// `entry`: the name of the entry with the problem. `None`: the problem is the archive's.
    pub(super) fn into_error(self, entry: Option<&str>) -> Error {
        let what = match self {
            Problem::Found(what) => what,
            Problem::Stopped(error) => return error.with_stage(Stage::Verify),
        };
        let subject = match entry {
            Some(name) => format!("entry `{}`", redact::clean(name, 200)),
            None => "the file".to_owned(),
        };
        let message =
            format!("{subject} {what}; do not unpack the file, download the package again");
        Error::new(Status::Integrity, message).with_stage(Stage::Verify)
    }
}

pub(super) type Checked<T> = std::result::Result<T, Problem>;

/// Called every few hundred KiB with the position in the file. An error ends the check, as for a deadline or a cancel
/// handle.
pub(crate) type Pause<'a> = &'a dyn Fn(u64) -> Result<()>;

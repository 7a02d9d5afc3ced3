//! Damage of an archive, and errors that stop the check.

use crate::error::{Error, Result, Stage};
use crate::status::Status;
use crate::text::redact;

/// What to do about a damaged package. The file is kept: its other entries may be whole.
const ADVICE: &str = "keep the file, and download the package again";
/// The most damaged entries that a message names.
const NAMED: usize = 5;

/// Damage of the archive, or an error that stopped the check.
pub(super) enum Problem {
    Damage(&'static str),
    Stopped(Error),
}

impl From<&'static str> for Problem {
    fn from(what: &'static str) -> Problem {
        Problem::Damage(what)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::Stopped(error)
    }
}

impl Problem {
    /// The error if it concerns the whole archive.
    pub(super) fn of_the_file(self) -> Error {
        match self {
            Problem::Damage(what) => integrity(&format!("the file {what}")),
            Problem::Stopped(error) => error.with_stage(Stage::Verify),
        }
    }
}

/// The damaged entries of an archive.
#[derive(Default)]
pub(super) struct DamagedEntries {
    count: usize,
    /// The first of them, as clauses.
    named: Vec<String>,
}

impl DamagedEntries {
    pub(super) fn add(&mut self, name: &str, what: &'static str) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("entry `{}` {what}", redact::clean(name, 200)));
        }
    }

    /// # Errors
    /// There are damaged entries.
    pub(super) fn none(self) -> Result<()> {
        let DamagedEntries { count, named } = self;
        let listed = named.join("; ");
        Err(match count.checked_sub(named.len()) {
            _ if count == 0 => return Ok(()),
            _ if count == 1 => integrity(&listed),
            Some(0) | None => integrity(&format!("{count} entries are damaged: {listed}")),
            Some(more) => {
                integrity(&format!("{count} entries are damaged: {listed}; and {more} more"))
            }
        })
    }
}

fn integrity(what: &str) -> Error {
    Error::new(Status::Integrity, format!("{what}; {ADVICE}")).with_stage(Stage::Verify)
}

pub(super) type Checked<T> = std::result::Result<T, Problem>;

/// Called every few hundred KiB with the position in the file. An error ends the check, as for a deadline or a cancel
/// handle.
pub(crate) type Pause<'a> = &'a dyn Fn(u64) -> Result<()>;

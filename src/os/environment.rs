//! The variables of the environment.

use std::env::{self, VarError};

use crate::error::{Error, Result};
use crate::status::Status;

/// A variable of the environment; an empty one is as good as none.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::new(
            Status::Config,
            format!("the environment variable {name} is not Unicode"),
        )),
    }
}

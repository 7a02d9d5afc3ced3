//! Checks of the arguments, before an operation begins. Every error names the argument.

use crate::error::{Error, Result};
use crate::text::guid::is_guid;

/// Accepts an id or name that no proxy or gateway can take for more than one path segment.
pub(crate) fn machine_id(id: &str) -> Result<&str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let problem = match id.len() {
        0 => "is empty",
        1..=255 if !id.bytes().all(fits) => "has characters that no device id or name has",
        1..=255 if id.contains("..") || id == "." => "is a path",
        1..=255 => return Ok(id),
        _ => "is too long",
    };
    Err(Error::argument(
        "machine_id",
        problem,
        "the device id (40 hexadecimal digits), or up to 255 letters, digits, `-`, `_`, `.`",
    ))
}

pub(crate) fn comment(comment: &str) -> Result<&str> {
    const MAX: usize = 32_768;
    let problem = match comment.len() {
        0 => "is empty, and the service requires one",
        1..=MAX if comment.trim().is_empty() => "is blank, and the service requires one",
        1..=MAX => return Ok(comment),
        _ => "is too long",
    };
    Err(Error::argument("comment", problem, "1 to 32768 bytes of text that say why"))
}

pub(crate) fn action_id(id: &str) -> Result<&str> {
    match is_guid(id) {
        true => Ok(id),
        false => Err(Error::argument(
            "action_id",
            "is not a GUID",
            "a machine action's id, for example 5382f7ea-7557-4ab7-9782-d50480024a4e",
        )),
    }
}

pub(crate) fn path(path: &str) -> Result<&str> {
    let problem = match path {
        "" => "is empty",
        path if path.contains('\0') => "has a NUL character",
        path => return Ok(path),
    };
    Err(Error::argument("path", problem, "the path of a new file, or of a folder that exists"))
}

pub(crate) fn odata_filter(filter: &str) -> Result<&str> {
    match filter.len() <= 8_192 {
        true => Ok(filter.trim()),
        false => Err(Error::argument(
            "odata_filter",
            "is too long",
            "an OData expression of up to 8192 bytes, or an empty string for all actions",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn an_id_that_could_leave_its_path_segment_is_refused() {
        for bad in [
            "",
            "a/b",
            "a?b",
            "..",
            "a..b",
            ".",
            "a\nb",
            "a b",
            "a%2fb",
            "a#b",
            "é",
            &"x".repeat(256),
        ] {
            assert_eq!(machine_id(bad).unwrap_err().status(), Status::InvalidArgument, "{bad:?}");
        }
        for good in
            ["49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9", "desktop-39g9tgl", "srv_1.contoso.example"]
        {
            assert_eq!(machine_id(good).unwrap(), good);
        }
        for bad in
            ["", "123", "5382f7ea75574ab79782d50480024a4e", "5382f7ea-7557-4ab7-9782-d50480024a4g"]
        {
            assert!(action_id(bad).is_err(), "{bad}");
        }
    }
}

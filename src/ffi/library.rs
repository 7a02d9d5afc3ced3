//! The library itself: version, status names, strings, and a reader for its own JSON.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{guard, ptr, strings};
use crate::error::{Error, Result};
use crate::status::Status;

/// The version of the library, for example "0.1.0". Static; never freed. Compare it with MDE_VERSION
/// of the header only to log a difference; what must match is mde_abi_version().
#[unsafe(no_mangle)]
pub extern "C" fn mde_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// The ABI of the library. A program built against a header with another MDE_ABI_VERSION must not
/// call any further function.
#[unsafe(no_mangle)]
pub extern "C" fn mde_abi_version() -> u32 {
    crate::ffi::ABI_VERSION
}

/// The name of a status, as in the JSON member `name`: "rate_limited" for MDE_ERR_RATE_LIMITED.
/// "unknown" for a number that is no status. Static; never freed.
#[unsafe(no_mangle)]
pub extern "C" fn mde_status_name(status: i32) -> *const c_char {
    guard::value(c"unknown".as_ptr(), || {
        Status::from_code(status).map_or(c"unknown", Status::c_name).as_ptr()
    })
}

/// Frees a string that this library gave out. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_string_free(string: *mut c_char) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Ownership").
        unsafe { strings::free(string) }
    });
}

/// Reads one value out of a JSON document, so that plain C needs no JSON library.
///
/// `json`: any JSON document. `pointer`: where to look (RFC 6901), for example "/action/id" or
/// "/actions/0/status"; "" is the whole document.
/// On MDE_OK `*out_value` is the text of a string without quotes and escapes, the JSON text of a number,
/// true, false, object or array, or NULL for the JSON value null. Free it with mde_string_free().
/// On failure `*out_value` is NULL. MDE_ERR_NOT_FOUND: there is no such value. MDE_ERR_INVALID_ARGUMENT: `json` is not JSON, `pointer` is
/// not a JSON pointer, or the string holds U+0000, which a C string cannot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_json_get(
    json: *const c_char,
    pointer: *const c_char,
    out_value: *mut *mut c_char,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise (header, "Pointers").
        unsafe { ptr::place(out_value, "out_value") }?;
        // SAFETY: as above.
        let json = unsafe { ptr::text(json, "json") }?;
        // SAFETY: as above.
        let pointer = unsafe { ptr::text(pointer, "pointer") }?;
        if let Some(value) = find(json, pointer)? {
            // SAFETY: as above; checked by `place`.
            unsafe { out_value.write(value.into_raw()) };
        }
        Ok(())
    })
}

/// Walks level by level over raw text: no limit on depth, and numbers stay as they were written.
fn find(json: &str, pointer: &str) -> Result<Option<CString>> {
    let not_json = |_| Error::argument("json", "is not JSON", "a JSON document");
    let not_found = || Error::new(Status::NotFound, "the document has no such value");
    let mut value: &RawValue = serde_json::from_str(json).map_err(not_json)?;
    if !pointer.is_empty() {
        let steps = pointer.strip_prefix('/').ok_or_else(|| {
            Error::argument("pointer", "does not begin with `/`", "a JSON pointer (RFC 6901)")
        })?;
        for step in steps.split('/') {
            let step = step.replace("~1", "/").replace("~0", "~");
            value = child(value, &step).ok_or_else(not_found)?;
        }
    }
    let text = match value.get() {
        "null" => return Ok(None),
        text if text.starts_with('"') => serde_json::from_str::<String>(text).map_err(not_json)?,
        text => text.to_owned(),
    };
    CString::new(text).map(Some).map_err(|_| {
        Error::argument("json", "holds U+0000 in this string", "a string without U+0000")
    })
}

/// The last of several members with one name, as most readers have it.
fn child<'a>(value: &'a RawValue, step: &str) -> Option<&'a RawValue> {
    match value.get().as_bytes().first()? {
        b'{' => {
            serde_json::Deserializer::from_str(value.get()).deserialize_map(Member(step)).ok()?
        }
        b'[' => {
            let is_index =
                step == "0" || (!step.starts_with('0') && step.bytes().all(|b| b.is_ascii_digit()));
            let at: usize = step.parse().ok().filter(|_| is_index)?;
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            items.get(at).copied()
        }
        _ => None,
    }
}

/// Finds the member of that name, and keeps none of the others.
struct Member<'s>(&'s str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut members: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
        let mut found = None;
        while let Some(Name(name)) = members.next_key()? {
            let value = members.next_value()?;
            if name == self.0 {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(json: &str, pointer: &str) -> std::result::Result<Option<String>, Status> {
        find(json, pointer)
            .map(|value| value.map(|v| v.into_string().unwrap()))
            .map_err(|error| error.status())
    }

    #[test]
    fn pointers_find_values_of_every_kind() {
        let json =
            r#" {"a":{"b/c":["x",1.50,true,null,{"~":"t\n\u00e9"}]},"n":123456789012345678901} "#;
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(get(json, "/a/b~1c/0"), some("x"));
        assert_eq!(get(json, "/a/b~1c/1"), some("1.50"));
        assert_eq!(get(json, "/a/b~1c/2"), some("true"));
        assert_eq!(get(json, "/a/b~1c/3"), Ok(None));
        assert_eq!(get(json, "/a/b~1c/4/~0"), some("t\né"));
        assert_eq!(get(json, "/n"), some("123456789012345678901"));
        assert_eq!(get("[1]", ""), some("[1]"));
    }

    #[test]
    fn what_is_not_there_or_not_valid() {
        assert_eq!(get("{}", "/a"), Err(Status::NotFound));
        assert_eq!(get("[1]", "/01"), Err(Status::NotFound));
        assert_eq!(get("[1]", "/-"), Err(Status::NotFound));
        assert_eq!(get("[1]", "/1"), Err(Status::NotFound));
        assert_eq!(get("5", "/a"), Err(Status::NotFound));
        for (json, pointer) in [("", ""), ("{", ""), ("{}", "a"), (r#""\u0000""#, "")] {
            assert_eq!(get(json, pointer), Err(Status::InvalidArgument), "{json} {pointer}");
        }
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(get(&deep, "/0/0/0").map(|v| v.unwrap().len()), Ok(199_994));
    }
}

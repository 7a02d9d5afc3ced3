//! `mde_json_get`: `pointer | document`. The other reader is serde_json's.

use std::ffi::{CStr, CString};
use std::ptr::null_mut;

use mde::ffi::library::{mde_json_get, mde_string_free};
use serde_json::Value;

use super::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let pointer = input.text();
    let Ok(json) = CString::new(input.rest()) else { return };
    let Ok(c_pointer) = CString::new(pointer.as_str()) else { return };
    let mut value = null_mut();
    // SAFETY: both texts end in a NUL, and `value` may be written.
    let status = unsafe { mde_json_get(json.as_ptr(), c_pointer.as_ptr(), &raw mut value) };
    assert!(status == 0 || value.is_null(), "a value and status {status}");
    // SAFETY: the library gave it out.
    let found = (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_owned());
    // SAFETY: it is freed once.
    unsafe { mde_string_free(value) };
    let found = found.map(|text| text.into_string().expect("UTF-8"));
    // Deep documents and numbers without bounds are read here, and not there.
    let Ok(text) = json.to_str() else { return };
    let Ok(document) = serde_json::from_str::<Value>(text) else { return };
    match (document.pointer(&pointer), status) {
        (None, _) => assert_ne!(status, 0, "{pointer} is not in {text}"),
        (Some(Value::Null), _) => assert_eq!((status, found), (0, None), "{text}"),
        // A string with U+0000 is no C string.
        (Some(Value::String(there)), _) if there.contains('\0') => assert_ne!(status, 0),
        (Some(Value::String(there)), _) => assert_eq!((status, found.as_ref()), (0, Some(there))),
        (Some(there), _) => {
            assert_eq!(status, 0, "{pointer} in {text}");
            let found: Value = serde_json::from_str(&found.expect("a value")).expect("JSON");
            assert_eq!(&found, there);
        }
    }
}

//! Pointers across the boundary, as a caller in C uses them. Miri runs these tests as well.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::cancel::{mde_cancel, mde_cancel_free, mde_cancel_new, mde_cancel_trigger};
use super::library::{mde_json_get, mde_status_name, mde_string_free, mde_version};
use super::options::{mde_options_free, mde_options_new, mde_options_set, mde_options_set_json};
use super::user_data::UserData;
use crate::status::Status;

/// The text of a string of the library, which is freed.
fn taken(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: a string of the library, which nothing has freed yet.
    let copy = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
    // SAFETY: as above; it is not used any more.
    unsafe { mde_string_free(text) };
    Some(copy)
}

#[test]
fn values_come_out_of_documents() {
    let document = c"{\"action\":{\"id\":\"a\\u00e9\",\"n\":[1,2.5,null]},\"nul\":\"\\u0000\"}";
    for (at, status, value) in [
        (c"/action/id", Status::Ok, Some("aé")),
        (c"/action/n/1", Status::Ok, Some("2.5")),
        (c"/action/n/2", Status::Ok, None),
        (c"/action/n", Status::Ok, Some("[1,2.5,null]")),
        (c"/nothing", Status::NotFound, None),
        (c"action", Status::InvalidArgument, None),
        (c"/nul", Status::InvalidArgument, None),
        (c"/\xff", Status::Utf8, None),
    ] {
        let mut out = ptr::dangling_mut::<c_char>();
        // SAFETY: strings that end with NUL, and a pointer that is valid for the call.
        let code = unsafe { mde_json_get(document.as_ptr(), at.as_ptr(), &raw mut out) };
        assert_eq!((code, taken(out).as_deref()), (status.code(), value), "{at:?}");
    }
}

#[test]
fn null_is_refused_or_allowed() {
    let mut out = ptr::null_mut();
    // SAFETY: NULL is allowed everywhere here, and the other pointers are valid for the calls.
    let code = unsafe { mde_json_get(ptr::null(), c"".as_ptr(), &raw mut out) };
    assert_eq!((code, out), (Status::Null.code(), ptr::null_mut()));
    // SAFETY: as above.
    let code = unsafe { mde_json_get(c"1".as_ptr(), c"".as_ptr(), ptr::null_mut()) };
    assert_eq!(code, Status::Null.code());
    // SAFETY: as above.
    let code =
        unsafe { mde_options_set(ptr::null_mut(), c"a".as_ptr(), c"b".as_ptr(), &raw mut out) };
    assert_eq!(code, Status::Null.code());
    assert!(taken(out).unwrap().contains("argument `options` is NULL"));
    // SAFETY: as above.
    unsafe { mde_string_free(ptr::null_mut()) };
    // SAFETY: as above.
    unsafe { mde_options_free(ptr::null_mut()) };
    // SAFETY: as above.
    unsafe { mde_cancel_trigger(ptr::null()) };
    // SAFETY: as above.
    unsafe { mde_cancel_free(ptr::null_mut()) };
}

#[test]
fn options_take_settings_and_tell_what_is_wrong() {
    let options = mde_options_new();
    for (name, value, status) in [
        (c"tenant_id", c"9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924", Status::Ok),
        (c"client_secret", c"a secret", Status::Ok),
        (c"no_such_option", c"1", Status::Config),
        (c"max_retries", c"many", Status::Config),
    ] {
        let mut out = ptr::null_mut();
        // SAFETY: a live handle, strings that end with NUL, and a pointer that is valid for the call.
        let code = unsafe { mde_options_set(options, name.as_ptr(), value.as_ptr(), &raw mut out) };
        assert_eq!((code, taken(out).is_some()), (status.code(), status != Status::Ok), "{name:?}");
    }
    let mut out = ptr::null_mut();
    let json = c"{\"max_retries\":2,\"client_secret\":\"another\"}";
    // SAFETY: as above.
    let code = unsafe { mde_options_set_json(options, json.as_ptr(), &raw mut out) };
    assert_eq!((code, taken(out)), (Status::Ok.code(), None));
    // SAFETY: a live handle, which is not used any more.
    unsafe { mde_options_free(options) };
}

#[test]
fn a_cancel_handle_is_triggered_from_another_thread() {
    struct Shared(*const mde_cancel);
    // SAFETY: the header allows a trigger from any thread.
    unsafe impl Send for Shared {}
    impl Shared {
        fn trigger(self) {
            // SAFETY: a live handle, which the other thread frees after this one has ended.
            unsafe { mde_cancel_trigger(self.0) };
        }
    }
    let cancel = mde_cancel_new(0);
    let shared = Shared(cancel);
    let other = std::thread::spawn(move || shared.trigger());
    other.join().unwrap();
    // SAFETY: a live handle, which is not used any more.
    unsafe { mde_cancel_free(cancel) };
}

#[test]
fn user_data_is_freed_once() {
    unsafe extern "C-unwind" fn free(count: *mut c_void) {
        // SAFETY: the test gave this pointer, which outlives the user data.
        unsafe { &*count.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
    }
    let count = AtomicUsize::new(0);
    let pointer = ptr::from_ref(&count).cast_mut().cast::<c_void>();
    let user_data = UserData::new(pointer, Some(free));
    assert_eq!((user_data.get(), count.load(Ordering::Relaxed)), (pointer, 0));
    drop(user_data);
    drop(UserData::new(pointer, None));
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn constants_are_strings_of_c() {
    for text in [mde_version(), mde_status_name(0), mde_status_name(-1)] {
        // SAFETY: a constant that ends with NUL.
        assert!(!unsafe { CStr::from_ptr(text) }.to_bytes().is_empty());
    }
}

//! Sequences of C calls: handles in any order, callbacks that call back, calls on several threads.
//!
//! Every byte is a call, with its arguments behind it. The promises of the header are kept: nothing is used after it was
//! freed, and no client is freed under a call. AddressSanitizer watches the rest, and a count of what the library was given.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use mde::ffi::access::mde_check_access;
use mde::ffi::actions::{mde_cancel_action, mde_get_action, mde_list_actions, mde_wait_action};
use mde::ffi::cancel::{mde_cancel, mde_cancel_free, mde_cancel_new, mde_cancel_trigger};
use mde::ffi::client::{mde_client, mde_client_free, mde_client_new, mde_client_shutdown};
use mde::ffi::fleet::mde_read_packages;
use mde::ffi::library::{mde_json_get, mde_status_name, mde_string_free};
use mde::ffi::machines::mde_find_machines;
use mde::ffi::options::{
    mde_options, mde_options_free, mde_options_new, mde_options_set, mde_options_set_json,
    mde_options_set_token_provider,
};
use mde::ffi::packages::{mde_collect_package, mde_get_package_uri, mde_inspect_package};
use mde::ffi::quota::mde_get_quota;
use mde::ffi::token::{mde_token_fn, mde_token_set, mde_token_sink};

use super::input::Input;
use super::server::{ACTION, MACHINE, Server};

const INTERNAL: &str = "internal";

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
/// The server has one list of answers, and the count is of one run.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// The callbacks' data that the library holds.
static HELD: AtomicI64 = AtomicI64::new(0);

/// Pointers go to other threads here, as the header allows.
#[derive(Clone, Copy)]
struct Shared<T>(T);
// SAFETY: clients and cancel handles may be used by any thread.
unsafe impl<T> Send for Shared<T> {}

impl<T: Copy> Shared<T> {
    fn get(self) -> T {
        self.0
    }
}

#[derive(Default)]
struct Handles {
    options: Vec<*mut mde_options>,
    clients: Vec<*mut mde_client>,
    cancels: Vec<*mut mde_cancel>,
}

/// A handle by its number, or NULL.
fn pick<T>(handles: &[*mut T], which: u8) -> *mut T {
    match handles.len() {
        0 => null_mut(),
        count => handles.get(usize::from(which) % (count + 1)).copied().unwrap_or(null_mut()),
    }
}

fn remove<T>(handles: &mut Vec<*mut T>, which: u8) -> *mut T {
    let handle = pick(handles, which);
    handles.retain(|one| *one != handle);
    handle
}

pub fn run(data: &[u8]) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut input = Input::new(data);
    let calls = input.part();
    SERVER.prepare(&mut input, &SERVER.url(1));
    let mut handles = Handles::default();
    let mut calls = Input::new(calls);
    let mut slow = 0;
    while !calls.is_empty() {
        call(&mut handles, &mut calls, &mut slow);
    }
    for options in handles.options {
        // SAFETY: each is freed once, as below.
        unsafe { mde_options_free(options) };
    }
    for client in handles.clients {
        // SAFETY: as above; no call is in it.
        unsafe { mde_client_free(client) };
    }
    for cancel in handles.cancels {
        // SAFETY: as above.
        unsafe { mde_cancel_free(cancel) };
    }
    assert_eq!(HELD.load(Ordering::Relaxed), 0, "data of a callback was not freed");
}

/// What every call that gives out a document keeps to.
fn check(status: i32, json: *mut c_char) {
    // SAFETY: a static text.
    let name = unsafe { CStr::from_ptr(mde_status_name(status)) }.to_str().expect("UTF-8");
    assert!(name != "unknown" && name != INTERNAL, "status {status}");
    if json.is_null() {
        return;
    }
    // SAFETY: the library gave it out, and it is freed once.
    let text = unsafe { CStr::from_ptr(json) }.to_str().expect("UTF-8").to_owned();
    // SAFETY: as above.
    unsafe { mde_string_free(json) };
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status != 0, document["error"].is_object(), "status {status}: {text}");
}

/// Values of options, most of them usable.
const VALUES: [(&CStr, &CStr); 14] = [
    (c"quota", c"fail"),
    (c"quota", c"wait"),
    (c"max_retries", c"0"),
    (c"max_retries", c"1"),
    (c"timeout_ms", c"30"),
    (c"wait_timeout_ms", c"30"),
    (c"idle_timeout_ms", c"20"),
    (c"poll_interval_ms", c"100"),
    (c"auth", c"token_provider"),
    (c"auth", c"client_secret"),
    (c"tenant_id", c"9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924"),
    (c"client_id", c"9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924"),
    (c"access_token", c"token"),
    (c"user_agent", c"host/1"),
];

fn new_options(handles: &mut Handles) {
    let options = mde_options_new();
    let url = CString::new(SERVER.url(1)).expect("no NUL");
    // Nothing leaves this machine, and nothing takes long.
    for (name, value) in [
        (c"api_url", url.as_c_str()),
        (c"login_url", &url),
        (c"proxy", c"none"),
        (c"timeout_ms", c"40"),
        (c"wait_timeout_ms", c"40"),
        (c"idle_timeout_ms", c"30"),
        (c"max_retries", c"0"),
        (c"poll_interval_ms", c"100"),
    ] {
        // SAFETY: whole texts, and options that this thread alone has.
        let status = unsafe { mde_options_set(options, name.as_ptr(), value.as_ptr(), null_mut()) };
        assert_eq!(status, 0, "{name:?}");
    }
    handles.options.push(options);
}

fn call(handles: &mut Handles, input: &mut Input<'_>, slow: &mut u32) {
    let mut json = null_mut();
    let what = input.byte();
    let is_full = |count: usize| count >= 4;
    match what % 18 {
        0 if !is_full(handles.options.len()) => new_options(handles),
        1 => {
            let options = remove(&mut handles.options, input.byte());
            // SAFETY: it is no handle any more.
            unsafe { mde_options_free(options) };
        }
        2 => {
            let options = pick(&handles.options, input.byte());
            let (name, value) = VALUES[usize::from(input.byte()) % VALUES.len()];
            // SAFETY: whole texts, and options that this thread alone has.
            let status =
                unsafe { mde_options_set(options, name.as_ptr(), value.as_ptr(), &raw mut json) };
            check(status, json);
        }
        3 => {
            // Any bytes, for options that no client is made of.
            let options = mde_options_new();
            let (name, value) = (input.part(), input.part());
            let text = |bytes: &[u8]| {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                CString::new(&bytes[..end]).expect("no NUL")
            };
            let (name, value) = (text(name), text(value));
            // SAFETY: whole texts, and options that this thread alone has.
            let status =
                unsafe { mde_options_set(options, name.as_ptr(), value.as_ptr(), &raw mut json) };
            check(status, json);
            json = null_mut();
            // SAFETY: as above.
            let status = unsafe { mde_options_set_json(options, value.as_ptr(), &raw mut json) };
            check(status, json);
            // SAFETY: it is freed once.
            unsafe { mde_options_free(options) };
        }
        4 if !is_full(handles.clients.len()) => {
            let options = pick(&handles.options, input.byte());
            let mut client = null_mut();
            // SAFETY: options of this thread or NULL, and pointers that may be written.
            let status = unsafe { mde_client_new(options, &raw mut client, &raw mut json) };
            check(status, json);
            assert_eq!(status == 0, !client.is_null());
            handles.clients.extend(Some(client).filter(|client| !client.is_null()));
        }
        5 => {
            let client = remove(&mut handles.clients, input.byte());
            // SAFETY: it is no handle any more, and no call is in it.
            unsafe { mde_client_free(client) };
        }
        6 if !is_full(handles.cancels.len()) => {
            let cancel = mde_cancel_new(u64::from(input.byte() % 20));
            handles.cancels.push(cancel);
        }
        7 => {
            // SAFETY: a handle or NULL.
            unsafe { mde_cancel_trigger(pick(&handles.cancels, input.byte())) };
        }
        8 => {
            let cancel = remove(&mut handles.cancels, input.byte());
            // SAFETY: it is no handle any more.
            unsafe { mde_cancel_free(cancel) };
        }
        9 => set_provider(pick(&handles.options, input.byte()), input.byte()),
        10 => {
            let client = pick(&handles.clients, input.byte());
            let timeout = u64::from(input.byte() % 3);
            // SAFETY: a handle or NULL.
            check(unsafe { mde_client_shutdown(client, timeout) }, null_mut());
        }
        11 => {
            let client = pick(&handles.clients, input.byte());
            // SAFETY: a handle or NULL, and a pointer that may be written.
            check(unsafe { mde_get_quota(client, &raw mut json) }, json);
        }
        12 => {
            let (text, pointer) = (c"{\"a\":[1,\"x\"]}", [c"/a/1", c"/a", c"/b", c"a"]);
            let pointer = pointer[usize::from(input.byte()) % 4].as_ptr();
            // SAFETY: whole texts, and a pointer that may be written.
            unsafe { mde_json_get(text.as_ptr(), pointer, &raw mut json) };
            // SAFETY: it is freed once.
            unsafe { mde_string_free(json) };
        }
        13 => {
            let path =
                [c"/nowhere", c"", c"/dev/null", c"/"][usize::from(input.byte()) % 4].as_ptr();
            let cancel = pick(&handles.cancels, input.byte());
            // SAFETY: a whole text, a handle or NULL, and a pointer that may be written.
            let status =
                unsafe { mde_inspect_package(path, None, null_mut(), cancel, &raw mut json) };
            check(status, json);
            json = null_mut();
            // SAFETY: as above.
            check(unsafe { mde_read_packages(path, &raw mut json) }, json);
        }
        14..=16 if *slow < 6 => {
            *slow += 1;
            let client = Shared(pick(&handles.clients, input.byte()));
            let cancel = Shared(pick(&handles.cancels, input.byte()));
            let (one, other) = (input.byte(), input.byte());
            if what % 18 != 16 {
                return operation(client.get(), cancel.get(), one);
            }
            // Two threads with one client, and a third one that stops them.
            std::thread::scope(|scope| {
                scope.spawn(move || operation(client.get(), cancel.get(), one));
                scope.spawn(move || operation(client.get(), null_mut(), other));
                if other & 0x80 != 0 {
                    // SAFETY: a handle or NULL.
                    unsafe { mde_cancel_trigger(cancel.get()) };
                }
                if other & 0x40 != 0 {
                    // SAFETY: a handle or NULL.
                    unsafe { mde_client_shutdown(client.get(), 0) };
                }
            });
        }
        _ => {}
    }
}

/// A call to the server.
fn operation(client: *const mde_client, cancel: *const mde_cancel, which: u8) {
    let mut json = null_mut();
    let out = &raw mut json;
    let id = CString::new(ACTION).expect("no NUL");
    let machine = CString::new(MACHINE).expect("no NUL");
    let mut context = Context { client, cancel, what: which >> 4 };
    let data = (&raw mut context).cast::<c_void>();
    let (id, why) = (id.as_ptr(), c"why".as_ptr());
    // The same holds for each: whole texts, handles or NULL, a pointer that may be written, and data that outlives the call.
    let status = match which & 7 {
        // SAFETY: as above.
        0 => unsafe { mde_get_action(client, id, cancel, out) },
        // SAFETY: as above.
        1 => unsafe { mde_list_actions(client, c"".as_ptr(), cancel, out) },
        // SAFETY: as above.
        2 => unsafe { mde_wait_action(client, id, Some(on_progress), data, cancel, out) },
        // SAFETY: as above.
        3 => unsafe { mde_cancel_action(client, id, why, cancel, out) },
        // SAFETY: as above.
        4 => unsafe { mde_find_machines(client, c"pc1".as_ptr(), cancel, out) },
        // SAFETY: as above.
        5 => unsafe { mde_collect_package(client, machine.as_ptr(), why, cancel, out) },
        // SAFETY: as above.
        6 => unsafe { mde_get_package_uri(client, id, cancel, out) },
        // SAFETY: as above.
        _ => unsafe { mde_check_access(client, cancel, out) },
    };
    check(status, json);
}

struct Context {
    client: *const mde_client,
    cancel: *const mde_cancel,
    what: u8,
}

/// Uses the library from within a call, and may end it.
unsafe extern "C-unwind" fn on_progress(user_data: *mut c_void, event: *const c_char) -> i32 {
    // SAFETY: the context of the call that this callback belongs to.
    let context = unsafe { &*user_data.cast::<Context>() };
    let mut json = null_mut();
    // SAFETY: the event is a whole text, and the pointer may be written.
    let status = unsafe { mde_json_get(event, c"/stage".as_ptr(), &raw mut json) };
    assert_eq!(status, 0, "an event without a stage");
    // SAFETY: it is freed once.
    unsafe { mde_string_free(json) };
    json = null_mut();
    match context.what & 3 {
        // SAFETY: a handle or NULL.
        1 => unsafe { mde_cancel_trigger(context.cancel) },
        2 => {
            // SAFETY: a handle or NULL, and a pointer that may be written.
            let status = unsafe { mde_get_quota(context.client, &raw mut json) };
            check(status, json);
        }
        _ => {}
    }
    i32::from(context.what & 4 != 0)
}

/// `NULL`: none. Its data is freed by the library.
fn set_provider(options: *mut mde_options, what: u8) {
    let data = Box::into_raw(Box::new(what)).cast::<c_void>();
    let callback: mde_token_fn = if what & 0x80 == 0 { Some(provide) } else { None };
    HELD.fetch_add(1, Ordering::Relaxed);
    // SAFETY: options of this thread or NULL, and data that the library owns from here on if it takes it.
    let status =
        unsafe { mde_options_set_token_provider(options, callback, data, Some(free_data)) };
    check(status, null_mut());
    if status != 0 {
        // SAFETY: the header: after a failure it still belongs to the caller.
        unsafe { free_data(data) };
    }
}

unsafe extern "C-unwind" fn free_data(data: *mut c_void) {
    HELD.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: it was made by `set_provider`, and is freed once.
    drop(unsafe { Box::from_raw(data.cast::<u8>()) });
}

unsafe extern "C-unwind" fn provide(
    data: *mut c_void,
    scope: *const c_char,
    sink: *mut mde_token_sink,
) -> i32 {
    // SAFETY: the library holds the data as long as it calls.
    let what = unsafe { *data.cast::<u8>() };
    assert!(!scope.is_null());
    let (token, seconds) = match what & 3 {
        0 => (c"token", 3_600),
        1 => (c"not a token", 3_600),
        2 => (c"", 0),
        _ => (c"brief", 1),
    };
    if what & 4 == 0 {
        let token = if what & 8 == 0 { token.as_ptr() } else { null() };
        // SAFETY: the sink of this call, and a whole text or NULL.
        unsafe { mde_token_set(sink, token, seconds) };
    }
    i32::from(what & 16 != 0)
}

//! The C ABI as tests use it: the same functions a C program calls, with results taken apart.
//!
//! Every document that comes out is checked against `docs/schema.json`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::LazyLock;
use std::time::Duration;

use mde::ffi::access::mde_check_access;
use mde::ffi::actions::{mde_cancel_action, mde_get_action, mde_list_actions, mde_wait_action};
use mde::ffi::cancel::{mde_cancel, mde_cancel_free, mde_cancel_new, mde_cancel_trigger};
use mde::ffi::client::{mde_client, mde_client_free, mde_client_new, mde_client_shutdown};
use mde::ffi::fleet::{mde_fetch_packages, mde_read_packages};
use mde::ffi::library::mde_string_free;
use mde::ffi::machines::mde_find_machines;
use mde::ffi::options::{
    mde_options, mde_options_free, mde_options_new, mde_options_set, mde_options_set_signer,
    mde_options_set_token_provider,
};
use mde::ffi::packages::{
    mde_collect_package, mde_download_package, mde_fetch_package, mde_get_package_uri,
    mde_inspect_package,
};
use mde::ffi::quota::mde_get_quota;
use mde::ffi::signer::{mde_signature_set, mde_signature_sink, mde_signature_time_left_ms};
use mde::ffi::token::{mde_token_set, mde_token_sink};
use mde_simulator::{Config, Simulator};
use serde_json::Value;

pub const OK: i32 = 0;

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../docs/schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// What a call returned.
#[derive(Debug)]
pub struct Outcome {
    pub status: i32,
    pub document: Value,
    pub text: String,
}

impl Outcome {
    /// The document of a call that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, OK, "{}", self.text);
        self.document
    }

    /// The error of a call that must have failed with this name.
    #[track_caller]
    pub fn error(self, name: &str) -> Value {
        assert_ne!(self.status, OK, "{}", self.text);
        let error = self.document["error"].clone();
        assert_eq!(error["status"], self.status, "{}", self.text);
        assert_eq!(error["name"], name, "{}", self.text);
        error
    }
}

impl Outcome {
    /// The same, where the exact kind of failure is a matter of timing.
    #[track_caller]
    pub fn error_in(self, names: &[&str]) -> Value {
        let name = self.document["error"]["name"].as_str().unwrap_or_default().to_owned();
        assert!(names.contains(&name.as_str()), "{}", self.text);
        self.error(&name)
    }
}

/// What `docs/schema.json` does not allow in a document.
pub fn problem_of(document: &Value) -> Option<String> {
    SCHEMA.validate(document).err().map(|problem| problem.to_string())
}

/// Takes a result apart and frees it.
fn take(status: i32, json: *mut c_char) -> Outcome {
    assert!(!json.is_null(), "status {status} without a document");
    // SAFETY: the library gave this string out, and it is freed once.
    let text = unsafe { CStr::from_ptr(json) }.to_str().expect("documents are UTF-8").to_owned();
    // SAFETY: as above.
    unsafe { mde_string_free(json) };
    let document: Value = serde_json::from_str(&text).expect("documents are JSON");
    if let Some(problem) = problem_of(&document) {
        panic!("not as docs/schema.json says: {problem}\n{text}");
    }
    Outcome { status, document, text }
}

/// The same for functions that have nothing to say on success.
fn failure(status: i32, json: *mut c_char) -> Option<Outcome> {
    if status == OK {
        assert!(json.is_null(), "a document on success");
        return None;
    }
    Some(take(status, json))
}

/// How the job in a folder stands.
pub fn read_packages(folder: &Path) -> Outcome {
    let folder = c(folder.to_str().unwrap());
    let mut json = null_mut();
    // SAFETY: all pointers are valid for the call.
    let status = unsafe { mde_read_packages(folder.as_ptr(), &raw mut json) };
    take(status, json)
}

/// Checks a package.
pub fn inspect_package(path: &str) -> Outcome {
    inspect_package_until(path, None, None)
}

pub fn inspect_package_until(
    path: &str,
    mut progress: Option<Progress<'_>>,
    cancel: Option<&Cancel>,
) -> Outcome {
    let path = c(path);
    let (callback, user_data) = callback(&mut progress);
    let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
    let mut json = null_mut();
    // SAFETY: all pointers are valid for the call.
    let status =
        unsafe { mde_inspect_package(path.as_ptr(), callback, user_data, cancel, &raw mut json) };
    take(status, json)
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A cancel handle.
pub struct Cancel(*mut mde_cancel);

// SAFETY: the header allows any thread to use it.
unsafe impl Send for Cancel {}
// SAFETY: as above.
unsafe impl Sync for Cancel {}

impl Cancel {
    pub fn new(timeout_ms: u64) -> Cancel {
        Cancel(mde_cancel_new(timeout_ms))
    }

    pub fn trigger(&self) {
        // SAFETY: alive until dropped.
        unsafe { mde_cancel_trigger(self.0) }
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        // SAFETY: freed once, and no call borrows it any more.
        unsafe { mde_cancel_free(self.0) }
    }
}

type Sign = dyn Fn(&str, &[u8], &Sink) -> i32;

/// Where a signing callback puts its signature.
pub struct Sink(*mut mde_signature_sink);

impl Sink {
    pub fn set(&self, signature: &[u8]) -> i32 {
        // SAFETY: the sink is used within its callback, and the bytes are valid for the call.
        unsafe { mde_signature_set(self.0, signature.as_ptr(), signature.len() as u64) }
    }

    pub fn time_left_ms(&self) -> u64 {
        // SAFETY: as above.
        unsafe { mde_signature_time_left_ms(self.0) }
    }
}

unsafe extern "C-unwind" fn pass_to_signer(
    user_data: *mut c_void,
    algorithm: *const c_char,
    data: *const u8,
    size: u64,
    sink: *mut mde_signature_sink,
) -> i32 {
    // SAFETY: what `with_signer` gave out, which lives until it is freed.
    let sign = unsafe { &*user_data.cast::<Box<Sign>>() };
    // SAFETY: the library promises a string for the length of this call.
    let algorithm = unsafe { CStr::from_ptr(algorithm) }.to_str().unwrap();
    // SAFETY: the library promises this many bytes for the length of this call.
    let data = unsafe { std::slice::from_raw_parts(data, size as usize) };
    sign(algorithm, data, &Sink(sink))
}

unsafe extern "C-unwind" fn free_signer(user_data: *mut c_void) {
    // SAFETY: made by `with_signer`, and freed once.
    drop(unsafe { Box::from_raw(user_data.cast::<Box<Sign>>()) });
}

/// Takes the events of a long operation; `false` asks it to stop.
pub type Progress<'a> = &'a mut dyn FnMut(Value) -> bool;

type ProgressFn = unsafe extern "C-unwind" fn(*mut c_void, *const c_char) -> i32;

/// The callback and its user data, as C passes them.
fn callback(progress: &mut Option<Progress<'_>>) -> (Option<ProgressFn>, *mut c_void) {
    unsafe extern "C-unwind" fn pass_on(user_data: *mut c_void, event: *const c_char) -> i32 {
        // SAFETY: what `callback` gave out, for the length of the call.
        let progress = unsafe { &mut *user_data.cast::<Option<Progress<'_>>>() };
        // SAFETY: the library promises a string for the length of this call.
        let event = unsafe { CStr::from_ptr(event) }.to_str().expect("events are UTF-8");
        let event = serde_json::from_str(event).expect("events are JSON");
        let go_on = progress.as_mut().expect("a callback without progress")(event);
        i32::from(!go_on)
    }
    let wanted = progress.is_some();
    (wanted.then_some(pass_on as ProgressFn), (&raw mut *progress).cast())
}

/// Gives a token, and the seconds that it is valid for. `None`: the callback returns 7.
pub type Provider = Box<dyn Fn() -> Option<(String, u64)> + Send + Sync>;

unsafe extern "C-unwind" fn provide(
    user_data: *mut c_void,
    _scope: *const c_char,
    sink: *mut mde_token_sink,
) -> i32 {
    // SAFETY: what `with_provider` gave to the options.
    let provider = unsafe { &*user_data.cast::<Provider>() };
    match provider() {
        // SAFETY: the sink is that of this call.
        Some((token, seconds)) => unsafe { mde_token_set(sink, c(&token).as_ptr(), seconds) },
        None => 7,
    }
}

unsafe extern "C-unwind" fn free_provider(user_data: *mut c_void) {
    // SAFETY: made by `with_provider`, and freed once.
    drop(unsafe { Box::from_raw(user_data.cast::<Provider>()) });
}

/// A client.
pub struct Client(*mut mde_client);

// SAFETY: the header allows any thread to use it.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// A client with these options, or why there is none.
    pub fn with(options: &[(&str, &str)]) -> Result<Client, Outcome> {
        Client::made_from(mde_options_new(), options)
    }

    /// The same, with a signing callback. It is dropped as the library frees user data.
    pub fn with_signer(
        options: &[(&str, &str)],
        sign: impl Fn(&str, &[u8], &Sink) -> i32 + 'static,
    ) -> Result<Client, Outcome> {
        let raw = mde_options_new();
        let user_data: *mut Box<Sign> = Box::into_raw(Box::new(Box::new(sign)));
        // SAFETY: all pointers are valid, and the signer is freed when no client uses it any more.
        let status = unsafe {
            mde_options_set_signer(raw, Some(pass_to_signer), user_data.cast(), Some(free_signer))
        };
        assert_eq!(status, OK);
        Client::made_from(raw, options)
    }

    /// A client with these options whose tokens come from a callback.
    #[track_caller]
    pub fn with_provider(options: &[(&str, &str)], provider: Provider) -> Client {
        let raw = mde_options_new();
        let user_data = Box::into_raw(Box::new(provider));
        // SAFETY: all pointers are valid, and the provider is freed when no client uses it any more.
        let status = unsafe {
            mde_options_set_token_provider(
                raw,
                Some(provide),
                user_data.cast(),
                Some(free_provider),
            )
        };
        assert_eq!(status, OK);
        Client::made_from(raw, options).unwrap_or_else(|outcome| panic!("{}", outcome.text))
    }

    fn made_from(raw: *mut mde_options, options: &[(&str, &str)]) -> Result<Client, Outcome> {
        let mut outcome = None;
        for (name, value) in options {
            let mut json = null_mut();
            // SAFETY: all pointers are valid for the call.
            let status =
                unsafe { mde_options_set(raw, c(name).as_ptr(), c(value).as_ptr(), &raw mut json) };
            outcome = failure(status, json);
            if outcome.is_some() {
                break;
            }
        }
        let mut client = null_mut();
        let outcome = outcome.or_else(|| {
            let mut json = null_mut();
            // SAFETY: as above.
            let status = unsafe { mde_client_new(raw, &raw mut client, &raw mut json) };
            failure(status, json)
        });
        // SAFETY: given out above, freed once.
        unsafe { mde_options_free(raw) };
        outcome.map_or(Ok(Client(client)), Err)
    }

    pub fn collect(&self, machine: &str, comment: &str) -> Outcome {
        self.collect_until(machine, comment, None)
    }

    pub fn collect_until(&self, machine: &str, comment: &str, cancel: Option<&Cancel>) -> Outcome {
        let (machine, comment) = (c(machine), c(comment));
        let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe {
            mde_collect_package(self.0, machine.as_ptr(), comment.as_ptr(), cancel, &raw mut json)
        };
        take(status, json)
    }

    pub fn action(&self, id: &str) -> Outcome {
        self.action_until(id, None)
    }

    pub fn action_until(&self, id: &str, cancel: Option<&Cancel>) -> Outcome {
        let id = c(id);
        let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe { mde_get_action(self.0, id.as_ptr(), cancel, &raw mut json) };
        take(status, json)
    }

    pub fn list(&self, filter: &str) -> Outcome {
        let filter = c(filter);
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe { mde_list_actions(self.0, filter.as_ptr(), null(), &raw mut json) };
        take(status, json)
    }

    pub fn wait(&self, id: &str) -> Outcome {
        self.wait_until(id, None, None)
    }

    /// `progress` gets the events and says whether to go on.
    pub fn wait_until(
        &self,
        id: &str,
        mut progress: Option<Progress<'_>>,
        cancel: Option<&Cancel>,
    ) -> Outcome {
        let id = c(id);
        let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
        let (callback, user_data) = callback(&mut progress);
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe {
            mde_wait_action(self.0, id.as_ptr(), callback, user_data, cancel, &raw mut json)
        };
        take(status, json)
    }

    pub fn cancel(&self, id: &str, comment: &str) -> Outcome {
        self.cancel_until(id, comment, None)
    }

    pub fn cancel_until(&self, id: &str, comment: &str, cancel: Option<&Cancel>) -> Outcome {
        let (id, comment) = (c(id), c(comment));
        let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe {
            mde_cancel_action(self.0, id.as_ptr(), comment.as_ptr(), cancel, &raw mut json)
        };
        take(status, json)
    }

    pub fn fetch(&self, machine: &str, comment: &str, path: &str) -> Outcome {
        self.fetch_until(machine, comment, path, None, None)
    }

    pub fn fetch_until(
        &self,
        machine: &str,
        comment: &str,
        path: &str,
        mut progress: Option<Progress<'_>>,
        cancel: Option<&Cancel>,
    ) -> Outcome {
        let (machine, comment, path) = (c(machine), c(comment), c(path));
        let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
        let (callback, user_data) = callback(&mut progress);
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe {
            mde_fetch_package(
                self.0,
                machine.as_ptr(),
                comment.as_ptr(),
                path.as_ptr(),
                callback,
                user_data,
                cancel,
                &raw mut json,
            )
        };
        take(status, json)
    }

    /// Fetches the packages of many devices. `devices`: `None` for NULL.
    pub fn fetch_packages(
        &self,
        devices: Option<&str>,
        folder: &Path,
        mut progress: Option<Progress<'_>>,
        cancel: Option<&Cancel>,
    ) -> Outcome {
        let devices = devices.map(c);
        let (comment, folder) = (c("case 4711"), c(folder.to_str().unwrap()));
        let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
        let (callback, user_data) = callback(&mut progress);
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe {
            mde_fetch_packages(
                self.0,
                devices.as_ref().map_or(null(), |devices| devices.as_ptr()),
                comment.as_ptr(),
                folder.as_ptr(),
                callback,
                user_data,
                cancel,
                &raw mut json,
            )
        };
        take(status, json)
    }

    pub fn find(&self, query: &str) -> Outcome {
        let query = c(query);
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe { mde_find_machines(self.0, query.as_ptr(), null(), &raw mut json) };
        take(status, json)
    }

    pub fn package_uri(&self, id: &str) -> Outcome {
        let id = c(id);
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe { mde_get_package_uri(self.0, id.as_ptr(), null(), &raw mut json) };
        take(status, json)
    }

    pub fn download(&self, id: &str, path: &Path) -> Outcome {
        self.download_until(id, path, None, |_| 0)
    }

    /// `progress` is given every event, checked to be JSON; what it returns goes to the library.
    pub fn download_until<F: FnMut(Value) -> i32>(
        &self,
        id: &str,
        path: &Path,
        cancel: Option<&Cancel>,
        mut progress: F,
    ) -> Outcome {
        unsafe extern "C-unwind" fn tell<F: FnMut(Value) -> i32>(
            user_data: *mut c_void,
            event: *const c_char,
        ) -> i32 {
            // SAFETY: what is handed over below, and used by one thread.
            let progress = unsafe { &mut *user_data.cast::<F>() };
            // SAFETY: the library's promise.
            let event = unsafe { CStr::from_ptr(event) }.to_str().unwrap();
            progress(serde_json::from_str(event).unwrap())
        }
        let (id, path) = (c(id), c(path.to_str().unwrap()));
        let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe {
            mde_download_package(
                self.0,
                id.as_ptr(),
                path.as_ptr(),
                Some(tell::<F>),
                (&raw mut progress).cast(),
                cancel,
                &raw mut json,
            )
        };
        take(status, json)
    }

    pub fn quota(&self) -> Outcome {
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe { mde_get_quota(self.0, &raw mut json) };
        take(status, json)
    }

    pub fn check_access(&self) -> Outcome {
        self.check_access_until(None)
    }

    pub fn check_access_until(&self, cancel: Option<&Cancel>) -> Outcome {
        let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
        let mut json = null_mut();
        // SAFETY: all pointers are valid for the call.
        let status = unsafe { mde_check_access(self.0, cancel, &raw mut json) };
        take(status, json)
    }

    pub fn shutdown(&self, timeout: Duration) -> i32 {
        // SAFETY: alive until dropped.
        unsafe { mde_client_shutdown(self.0, timeout.as_millis().try_into().unwrap()) }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: freed once, and no call borrows it any more.
        unsafe { mde_client_free(self.0) }
    }
}

/// Options for a client of a simulator: signed in with its default secret, without retries' pauses
/// unless asked for, and with an identity of its own unless given one, so that tests that run side by
/// side do not share a quota.
pub fn options(sim: &Simulator) -> Vec<(&'static str, String)> {
    vec![
        ("tenant_id", mde_simulator::DEFAULT_TENANT.to_owned()),
        ("client_id", mde_simulator::DEFAULT_CLIENT.to_owned()),
        ("client_secret", mde_simulator::DEFAULT_SECRET.to_owned()),
        ("api_url", sim.api_url()),
        ("login_url", sim.login_url()),
        ("max_retries", "0".to_owned()),
        ("timeout_ms", "30000".to_owned()),
    ]
}

/// A client of a simulator, with further options that override the usual ones.
#[track_caller]
pub fn client(sim: &Simulator, more: &[(&str, &str)]) -> Client {
    try_client(sim, more).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

pub fn try_client(sim: &Simulator, more: &[(&str, &str)]) -> Result<Client, Outcome> {
    let usual = options(sim);
    let all: Vec<_> = usual
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain(more.iter().copied())
        .collect();
    Client::with(&all)
}

/// A simulator with the default behaviour.
pub fn simulator() -> Simulator {
    Simulator::start(Config::default()).unwrap()
}

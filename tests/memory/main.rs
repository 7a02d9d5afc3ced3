//! How much memory a reply can cost, whatever is in it. It is a separate program, because it counts the allocations of
//! its threads.

mod fleet;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::CString;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use mde::ffi::actions::{mde_get_action, mde_list_actions};
use mde::ffi::client::{mde_client, mde_client_free, mde_client_new};
use mde::ffi::library::mde_string_free;
use mde::ffi::machines::mde_find_machines;
use mde::ffi::options::{mde_options_free, mde_options_new, mde_options_set};
use mde::ffi::packages::mde_collect_package;
use mde_tests::peers::responder::{Answer, Responder};
use mde_tests::{device_id, id};

/// Counts the bytes that the current thread holds. The library does all its work on the thread of the call.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    /// Others see what this thread holds.
    static IS_SHOWN: Cell<bool> = const { Cell::new(false) };
}

/// The most bytes that the thread which is shown has held.
static SHOWN: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
    if IS_SHOWN.get() {
        SHOWN.fetch_max(held, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const MIB: usize = 1 << 20;

/// The buffers of a connection, and a small reply.
const OTHERS: usize = MIB / 2;

/// As long as a short real one: what a reply costs depends on the secrets that are searched for in it.
const TOKEN: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJ0aWQiOiI5ZDRiN2MxZS0yZjYwLTRhODUtOGMzZC01MWUwYTdiNmY5MjQifQ.c2lnbmF0dXJlIG9mIHRoaXMgdG9rZW4";

/// A client whose every request but that for a token is answered with this.
struct Scene {
    _server: Responder,
    client: *mut mde_client,
    body: usize,
}

fn scene(status: u16, body: String) -> Scene {
    let length = body.len();
    let body = Arc::new(body);
    let server = Responder::start(move |asked| match asked.is_token_request() {
        true => Answer::token("x"),
        false => Answer { status, headers: vec![], body: body.to_string() },
    });
    let client = client(&server.url(), &[("access_token", TOKEN)]);
    Scene { _server: server, client, body: length }
}

fn client(url: &str, more: &[(&str, &str)]) -> *mut mde_client {
    let options = mde_options_new();
    let usual = [
        ("api_url", url),
        ("login_url", url),
        ("max_retries", "0"),
        ("on_unknown", "report"),
        ("proxy", "none"),
    ];
    for (name, value) in usual.iter().chain(more) {
        let (name, value) = (CString::new(*name).unwrap(), CString::new(*value).unwrap());
        // SAFETY: all pointers are valid for the call.
        let status = unsafe { mde_options_set(options, name.as_ptr(), value.as_ptr(), null_mut()) };
        assert_eq!(status, 0);
    }
    let mut client = null_mut();
    // SAFETY: as above.
    assert_eq!(unsafe { mde_client_new(options, &raw mut client, null_mut()) }, 0);
    // SAFETY: given out above, freed once.
    unsafe { mde_options_free(options) };
    client
}

impl Drop for Scene {
    fn drop(&mut self) {
        // SAFETY: given out by the library, freed once.
        unsafe { mde_client_free(self.client) };
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    List,
    Read,
    Collect,
    Find,
    Select,
}

/// The status of a call, the length of its document, and the most bytes that it held.
fn call(client: *mut mde_client, which: Call) -> (i32, usize, usize) {
    let [action, device, text] =
        [id(1), device_id(1), "x".to_owned()].map(|text| CString::new(text).unwrap());
    let filter = CString::new("").unwrap();
    let selection = c"not tag:none and not os:none and not group:none";
    let mut json = null_mut();
    HELD.set(0);
    MOST.set(0);
    let status = match which {
        // SAFETY: all pointers are valid for the call.
        Call::List => unsafe { mde_list_actions(client, filter.as_ptr(), null(), &raw mut json) },
        // SAFETY: as above.
        Call::Read => unsafe { mde_get_action(client, action.as_ptr(), null(), &raw mut json) },
        // SAFETY: as above.
        Call::Collect => unsafe {
            mde_collect_package(client, device.as_ptr(), text.as_ptr(), null(), &raw mut json)
        },
        // SAFETY: as above.
        Call::Find => unsafe { mde_find_machines(client, text.as_ptr(), null(), &raw mut json) },
        // SAFETY: as above.
        Call::Select => unsafe {
            mde_find_machines(client, selection.as_ptr(), null(), &raw mut json)
        },
    };
    let most = MOST.get();
    // SAFETY: the library gave this string out.
    let length = unsafe { std::ffi::CStr::from_ptr(json) }.count_bytes();
    // SAFETY: as above, and it is freed once.
    unsafe { mde_string_free(json) };
    (status, length, most.try_into().unwrap())
}

/// At most eight times the reply, and 64 MiB at most.
#[track_caller]
fn is_bounded(which: Call, status: u16, body: String) -> i32 {
    let scene = scene(status, body);
    let (status, _, most) = call(scene.client, which);
    println!("{which:?}: {} bytes cost {most}", scene.body);
    assert!(most <= 8 * scene.body + OTHERS, "{which:?}: {} bytes cost {most}", scene.body);
    assert!(most <= 64 * MIB, "{which:?}: {} bytes cost {most}", scene.body);
    status
}

/// The same value as often as fits into so many bytes, with commas between them.
fn repeated(value: &str, bytes: usize) -> String {
    let times = bytes / (value.len() + 1) - 1;
    format!("{}{value}", format!("{value},").repeat(times))
}

/// As many of these as fit into so many bytes, with commas between them.
fn many(one: impl Fn(u32) -> String, bytes: usize) -> String {
    let mut all = one(0);
    for number in 1.. {
        let next = one(number);
        if all.len() + next.len() + 1 > bytes {
            break;
        }
        all.push(',');
        all.push_str(&next);
    }
    all
}

fn list(records: &str) -> String {
    format!(r#"{{"value":[{records}]}}"#)
}

/// The largest page that is read.
const PAGE: usize = 27_900_000;

#[test]
fn the_smallest_records() {
    const PROTOCOL: i32 = 45;
    let of_ids = |size| many(|number| format!(r#"{{"id":"{}"}}"#, id(number)), size);
    for size in [MIB, PAGE] {
        for records in
            [of_ids(size), repeated("{}", size), repeated("0", size), repeated("[]", size)]
        {
            assert_eq!(is_bounded(Call::List, 200, list(&records)), PROTOCOL);
        }
    }
    let device = |number| format!(r#"{{"id":"{}"}}"#, device_id(number));
    assert_eq!(is_bounded(Call::Find, 200, list(&many(device, PAGE))), 0);
    assert_eq!(is_bounded(Call::Find, 200, list(&repeated("{}", PAGE))), PROTOCOL);
}

/// A member that the library reads, or does not read, with as many values as fit.
#[test]
fn records_of_many_values() {
    for value in ["0", "[]", "{}", "\"\"", "[[[[[[[[]]]]]]]]", "{\"a\":[{}]}"] {
        for member in [
            "new",
            "status",
            "type",
            "machineId",
            "computerDnsName",
            "osPlatform",
            "machineTags",
            "creationDateTimeUtc",
        ] {
            let record = |id: &str, size| {
                format!(r#"{{"id":"{id}","{member}":[{}]}}"#, repeated(value, size))
            };
            is_bounded(Call::Read, 200, record(&id(1), MIB - 200));
            if (member == "status" || member == "osPlatform") && value == "[]" {
                is_bounded(Call::Collect, 201, record(&id(1), MIB - 200));
                is_bounded(Call::List, 200, list(&record(&id(1), PAGE)));
                is_bounded(Call::Find, 200, list(&record(&device_id(1), PAGE)));
            }
            if member == "machineTags" && value == "\"\"" {
                is_bounded(Call::Select, 200, list(&record(&device_id(1), PAGE)));
            }
        }
    }
    // Texts that must be copied to be read.
    let escaped = |id: &str, size: usize| {
        let text = r"\u00e9\ud83d".repeat(size / 24);
        format!(r#"{{"id":"{id}","requestorComment":"{text}","computerDnsName":"{text}"}}"#)
    };
    is_bounded(Call::Read, 200, escaped(&id(1), MIB - 200));
    is_bounded(Call::Find, 200, list(&escaped(&device_id(1), 4 * MIB)));
}

#[test]
fn refusals() {
    for value in ["0", "[]", "\"\""] {
        let values = repeated(value, MIB - 100);
        for body in [
            format!(r#"{{"error":{{"code":[{values}],"message":[{values}]}}}}"#),
            format!(r#"{{"error":[{values}]}}"#),
            format!(r#"{{"message":[{values}]}}"#),
            format!("[{values}]"),
            values.clone(),
        ] {
            for status in [400, 401, 404, 429, 503] {
                is_bounded(Call::Read, status, body.clone());
            }
        }
    }
}

#[test]
fn replies_of_the_sign_in_service() {
    for value in ["0", "[]", "\"\""] {
        let values = repeated(value, 250_000);
        for (status, body) in [
            (400, format!(r#"{{"error":"x","error_codes":[{values}]}}"#)),
            (401, format!(r#"{{"error":[{values}],"more":[{values}]}}"#)),
            (200, format!(r#"{{"access_token":"x","expires_in":[{values}]}}"#)),
            (200, format!(r#"{{"access_token":[{values}]}}"#)),
        ] {
            let length = body.len();
            let server =
                Responder::start(move |_| Answer { status, headers: vec![], body: body.clone() });
            let secret = [("tenant_id", "t"), ("client_id", "c"), ("client_secret", "s")];
            let client = client(&server.url(), &secret);
            let (_, _, most) = call(client, Call::Read);
            // SAFETY: given out by the library, freed once.
            unsafe { mde_client_free(client) };
            assert!(most <= 8 * length + OTHERS, "{length} bytes cost {most}");
        }
    }
}

/// What the service really sends: as large as it can be.
#[test]
fn a_full_page_of_large_actions() {
    let command = "x".repeat(2_300);
    let full = |number| {
        let (id, device) = (id(number), device_id(number));
        format!(
            r#"{{"id":"{id}","type":"LiveResponse","status":"Succeeded","machineId":"{device}","computerDnsName":"desktop-1.contoso.example","requestorComment":"a reason for it","creationDateTimeUtc":"2026-01-24T22:17:02.36Z","commands":["{command}"]}}"#
        )
    };
    let page = list(&(0..9_999).map(full).collect::<Vec<_>>().join(","));
    let scene = scene(200, page);
    let (status, length, most) = call(scene.client, Call::List);
    assert_eq!(status, 0);
    assert!(length >= scene.body - 9, "{length}");
    assert!(most <= 64 * MIB, "{} bytes cost {most}", scene.body);
}

/// The most devices that a selection finds, as long as real ones. They are held once, with a page of the reply.
#[test]
fn a_hundred_thousand_devices() {
    let filling = "x".repeat(1_250);
    let server = Responder::start(move |asked| {
        let query = asked.query();
        let number = |name: &str| query.get(name).map_or(0, |text| text.parse::<u32>().unwrap());
        let (top, skip) = (number("$top"), number("$skip"));
        let device = |number: u32| {
            let id = device_id(number);
            format!(r#"{{"id":"{id}","computerDnsName":"device-{number}","x":"{filling}"}}"#)
        };
        let records: Vec<_> = (skip..(skip + top).min(100_000)).map(device).collect();
        Answer { status: 200, headers: vec![], body: list(&records.join(",")) }
    });
    let client = client(&server.url(), &[("access_token", TOKEN)]);
    let (status, length, most) = call(client, Call::Select);
    // SAFETY: given out by the library, freed once.
    unsafe { mde_client_free(client) };
    assert_eq!(status, 0);
    assert!(length > 130 * MIB, "{length}");
    println!("a document of {length} bytes cost {most}");
    assert!(most < length + length / 4, "a document of {length} bytes cost {most}");
}

/// Pages without end, each with other actions.
#[test]
fn pages_of_small_actions() {
    const INVALID_ARGUMENT: i32 = 3;
    let server = Responder::start(|asked| {
        let skip = asked.query().get("$skip").map_or(0, |skip| skip.parse::<u32>().unwrap());
        let records: Vec<_> =
            (skip..skip + 9_000).map(|number| format!(r#"{{"id":"{}"}}"#, id(number))).collect();
        let next = format!("/api/machineactions?$skip={}", skip + 9_000);
        let body = format!(r#"{{"value":[{}],"@odata.nextLink":"{next}"}}"#, records.join(","));
        Answer { status: 200, headers: vec![], body }
    });
    let client = client(&server.url(), &[("access_token", TOKEN)]);
    let (status, _, most) = call(client, Call::List);
    // SAFETY: given out by the library, freed once.
    unsafe { mde_client_free(client) };
    assert_eq!(status, INVALID_ARGUMENT);
    assert!(server.asked().len() < 9, "{}", server.asked().len());
    assert!(most <= 16 * MIB, "{most}");
}

//! What many devices in one call cost that only wait.

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicU32, Ordering};

use mde::ffi::cancel::{mde_cancel, mde_cancel_free, mde_cancel_new, mde_cancel_trigger};
use mde::ffi::client::mde_client_free;
use mde::ffi::fleet::{mde_fetch_packages, mde_read_packages};
use mde::ffi::library::mde_string_free;
use mde_tests::peers::responder::{Answer, Responder};
use mde_tests::{device_id, id};

use super::{HELD, IS_SHOWN, MOST, SHOWN, TOKEN, client};

const DEVICES: u32 = 10_000;

/// A folder in memory, where a sync costs nothing.
fn folder() -> PathBuf {
    let path = PathBuf::from(format!("/dev/shm/mde-fleet-{}", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    path
}

/// A handle that is freed at the end.
struct Cancel(*mut mde_cancel);

impl Cancel {
    fn new() -> Cancel {
        Cancel(mde_cancel_new(0))
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        // SAFETY: given out by the library, freed once.
        unsafe { mde_cancel_free(self.0) };
    }
}

fn action(number: u32) -> String {
    let (id, device) = (id(number), device_id(number));
    format!(
        r#"{{"id":"{id}","type":"CollectInvestigationPackage","title":null,"requestor":"Simulator test application","requestorComment":"case 4711","status":"Pending","machineId":"{device}","computerDnsName":"device-{number}.contoso.example","creationDateTimeUtc":"2026-01-24T22:17:02.36Z","lastUpdateDateTimeUtc":"2026-01-24T22:17:02.36Z","cancellationRequestor":null,"errorHResult":0,"scope":null,"externalId":null,"requestSource":"PublicApi","commands":[]}}"#
    )
}

/// Checks that the document is held once, though it may have 100 MB.
fn document_is_held_once(folder: &CStr) {
    let mut json = null_mut();
    HELD.set(0);
    MOST.set(0);
    // SAFETY: all pointers are valid for the call.
    assert_eq!(unsafe { mde_read_packages(folder.as_ptr(), &raw mut json) }, 0);
    let most = usize::try_from(MOST.get()).unwrap();
    // SAFETY: the library gave this string out.
    let length = unsafe { CStr::from_ptr(json) }.to_bytes().len();
    // SAFETY: as above, freed once.
    unsafe { mde_string_free(json) };
    let devices = 512 * DEVICES as usize;
    println!("a document of {length} bytes costs {most} bytes");
    // A line of the journal has some members more.
    assert!(most < length * 3 / 2 + devices, "{most} bytes for a document of {length}");
}

/// The reply to a poll of all is longer than half of that.
#[test]
fn a_waiting_device_costs_two_kibibytes() {
    let page = super::list(&(0..DEVICES).map(action).collect::<Vec<_>>().join(","));
    let cancel = Cancel::new();
    let stop = cancel.0 as usize;
    let (asked_for, polls, most) =
        (AtomicU32::new(0), AtomicU32::new(0), Arc::new(AtomicIsize::new(0)));
    let measured = Arc::clone(&most);
    let server = Responder::start(move |asked| {
        let number = |hex: &str| u32::from_str_radix(hex, 16).unwrap();
        let body = if let Some(rest) = asked.path().strip_prefix("/api/machines/") {
            asked_for.fetch_add(1, Ordering::Relaxed);
            action(number(rest.split('/').next().unwrap()))
        } else if let Some((_, id)) = asked.path().split_once("-9782-") {
            action(number(id))
        } else if asked_for.load(Ordering::Relaxed) < DEVICES {
            super::list("")
        } else {
            match polls.fetch_add(1, Ordering::Relaxed) {
                // What the start has cost is not what waiting costs.
                0 => SHOWN.store(0, Ordering::Relaxed),
                1 => measured.store(SHOWN.load(Ordering::Relaxed), Ordering::Relaxed),
                // SAFETY: the handle lives until the server has ended.
                _ => unsafe { mde_cancel_trigger(stop as *const mde_cancel) },
            }
            page.clone()
        };
        Answer { status: 200, headers: vec![], body }
    });
    let limits = "collect=1000000/60;list=1000000/60;read=1000000/60";
    let more = [
        ("access_token", TOKEN),
        ("quota_limits", limits),
        ("poll_interval_ms", "200"),
        ("wait_timeout_ms", "0"),
    ];
    let client = client(&server.url(), &more);
    let folder = folder();
    let ids: Vec<String> = (0..DEVICES).map(device_id).collect();
    let devices = CString::new(serde_json::to_string(&ids).unwrap()).unwrap();
    let path = CString::new(folder.to_str().unwrap()).unwrap();
    let mut json = null_mut();
    HELD.set(0);
    IS_SHOWN.set(true);
    // SAFETY: all pointers are valid for the call.
    let status = unsafe {
        mde_fetch_packages(
            client,
            devices.as_ptr(),
            c"case 4711".as_ptr(),
            path.as_ptr(),
            None,
            null_mut(),
            cancel.0,
            &raw mut json,
        )
    };
    IS_SHOWN.set(false);
    // SAFETY: the library gave this string out.
    let text = unsafe { CStr::from_ptr(json) }.to_str().unwrap();
    assert_eq!(status, 83, "{}", &text[..500.min(text.len())]);
    assert_eq!(text.matches(r#""state":"waiting""#).count(), DEVICES as usize);
    // SAFETY: given out by the library, freed once.
    unsafe { mde_string_free(json) };
    // SAFETY: as above.
    unsafe { mde_client_free(client) };
    drop(server);
    document_is_held_once(&path);
    std::fs::remove_dir_all(folder).unwrap();
    let each = usize::try_from(most.load(Ordering::Relaxed)).unwrap() / DEVICES as usize;
    println!("a device that waits costs {each} bytes");
    assert!(each <= 2_048, "{each}");
}

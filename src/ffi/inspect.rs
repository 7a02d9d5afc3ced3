//! Functions that look at files of this machine: no client, no network.

use std::ffi::c_char;

use super::{guard, ptr};
use crate::package_zip::inspect_package;

/// Checks an investigation package on disk and lists what is in it, without unpacking it. No request is sent,
/// and nothing is written.
///
/// `path`: a regular file, UTF-8. Every entry is decompressed and compared with its checksum, and all that the
/// zip says about itself with the rest of what it says; memory does not grow with its size, time does.
/// On MDE_OK: {"package":{"path":"...","bytes":123456,"sha256":"<64 hex digits>","entries":42,
/// "bytes_uncompressed":654321,"device":"windows","missing":["Prefetch files"],"bytes_unlisted":0,
/// "same_but_for_case":0,"files":[{"name":"Autoruns/HKLM_Run.txt","bytes":78,"compressed":60,"crc32":"0123abcd",
/// "modified":"2026-01-31T23:59:58"},...]}}. `device` is "windows", "macos" or "linux", and absent where the zip does
/// not look like an investigation package; `missing` names what packages of such devices are documented to hold
/// and this one lacks. `files` has one element per entry, folders included, whose names end in a slash; at most
/// 100,000. `modified` is in the device's own time and absent where it is not known.
/// MDE_ERR_INTEGRITY: the zip is damaged or cut short, uses what packages do not (encryption, other methods than
/// stored and deflated), or would do harm where it is unpacked (paths that lead out of the folder, symbolic links, two
/// entries in one place, more than 64 GiB, or more than 1 GiB in a 200th of the space); the message names the entry.
/// MDE_ERR_FILE: there is no such file, it cannot be read, or is a folder, device or pipe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_inspect_package(
    path: *const c_char,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = || {
        // SAFETY: the caller's promise (header, "Pointers").
        let path = unsafe { ptr::text(path, "path") }?;
        Ok(inspect_package(crate::operations::arguments::path(path)?)?.to_json())
    };
    // SAFETY: the caller's promise about out_json, passed on.
    unsafe { guard::document(out_json, body) }
}

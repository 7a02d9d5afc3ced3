//! The library with GSSAPI, which is opened when it is needed first: its types, its functions, its words.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute;
use std::ptr;

use once_cell::race::OnceBox;
use zeroize::{Zeroize, Zeroizing};

use crate::os::login::{Kind, Problem};

/// Apple's structures are packed in another way.
const LIBRARY: Option<&CStr> =
    if cfg!(target_vendor = "apple") { None } else { Some(c"libgssapi_krb5.so.2") };

pub(super) type Handle = *mut c_void;

#[repr(C)]
pub(super) struct Buffer {
    length: usize,
    value: *mut c_void,
}

#[repr(C)]
pub(super) struct Oid {
    length: u32,
    elements: *const c_void,
}

#[repr(C)]
pub(super) struct OidSet {
    pub count: usize,
    pub elements: *const Oid,
}

impl Buffer {
    /// Borrows the bytes, which GSSAPI only reads.
    pub(super) fn of(bytes: &[u8]) -> Buffer {
        Buffer { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
    }

    pub(super) fn empty() -> Buffer {
        Buffer { length: 0, value: ptr::null_mut() }
    }
}

impl Oid {
    pub(super) fn of(bytes: &'static [u8]) -> Oid {
        Oid { length: bytes.len() as u32, elements: bytes.as_ptr().cast() }
    }
}

/// Negotiate: it agrees with the peer on a mechanism (RFC 4178).
pub(super) const SPNEGO: &[u8] = b"\x2b\x06\x01\x05\x05\x02";
pub(super) const KERBEROS: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
pub(super) const USER_NAME: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x01";
pub(super) const HOST_BASED_SERVICE: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04";

/// The credentials are for logins of our own, not for accepting those of others.
pub(super) const INITIATE: c_int = 1;
/// The kinds of status for `gss_display_status`.
const GENERAL: c_int = 1;
const OF_MECHANISM: c_int = 2;
pub(super) const CONTINUE_NEEDED: u32 = 1;

/// Whether a status is an error: its upper half says which.
pub(super) fn is_error(status: u32) -> bool {
    status & 0xffff_0000 != 0
}

type ImportName = unsafe extern "C" fn(*mut u32, *const Buffer, *const Oid, *mut Handle) -> u32;
type Acquire = unsafe extern "C" fn(
    *mut u32,
    Handle,
    *const Buffer,
    u32,
    *const OidSet,
    c_int,
    *mut Handle,
    *mut *mut c_void,
    *mut u32,
) -> u32;
type Init = unsafe extern "C" fn(
    *mut u32,
    Handle,
    *mut Handle,
    Handle,
    *const Oid,
    u32,
    u32,
    *mut c_void,
    *const Buffer,
    *mut *mut c_void,
    *mut Buffer,
    *mut u32,
    *mut u32,
) -> u32;
type Display = unsafe extern "C" fn(*mut u32, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> u32;
type ReleaseBuffer = unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32;
type DeleteContext = unsafe extern "C" fn(*mut u32, *mut Handle, *mut Buffer) -> u32;
type Release = unsafe extern "C" fn(*mut u32, *mut Handle) -> u32;

/// The functions of the library.
pub(super) struct Api {
    pub import_name: ImportName,
    pub acquire: Acquire,
    pub init: Init,
    display: Display,
    release_buffer: ReleaseBuffer,
    pub delete_context: DeleteContext,
    pub release_name: Release,
    pub release_credential: Release,
}

unsafe extern "C" {
    fn dlopen(name: *const c_char, mode: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_NOW: c_int = 2;

/// A function of the library as one of this type.
macro_rules! function {
    ($library:expr, $name:literal, $kind:ty) => {{
        // SAFETY: the library is open, and the name ends with zero.
        let found = unsafe { dlsym($library, $name.as_ptr()) };
        if found.is_null() {
            return None;
        }
        // SAFETY: RFC 2744, or MIT's header, gives the function of this name this type.
        unsafe { transmute::<*mut c_void, $kind>(found) }
    }};
}

impl Api {
    /// The library, which stays open from the first time on.
    pub(super) fn get() -> Option<&'static Api> {
        static API: OnceBox<Api> = OnceBox::new();
        match API.get() {
            Some(known) => Some(known),
            None => {
                let opened = Box::new(Api::open()?);
                let _ = API.set(opened);
                API.get()
            }
        }
    }

    fn open() -> Option<Api> {
        // SAFETY: the name ends with zero.
        let library = unsafe { dlopen(LIBRARY?.as_ptr(), RTLD_NOW) };
        if library.is_null() {
            return None;
        }
        Some(Api {
            import_name: function!(library, c"gss_import_name", ImportName),
            acquire: function!(library, c"gss_acquire_cred_with_password", Acquire),
            init: function!(library, c"gss_init_sec_context", Init),
            display: function!(library, c"gss_display_status", Display),
            release_buffer: function!(library, c"gss_release_buffer", ReleaseBuffer),
            delete_context: function!(library, c"gss_delete_sec_context", DeleteContext),
            release_name: function!(library, c"gss_release_name", Release),
            release_credential: function!(library, c"gss_release_cred", Release),
        })
    }

    /// Takes the bytes out of a buffer of the library, and frees it.
    pub(super) fn take(&self, mut buffer: Buffer) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::new());
        if !buffer.value.is_null() {
            let value = buffer.value.cast::<u8>();
            // SAFETY: the library filled the buffer, which nobody else has.
            let own = unsafe { std::slice::from_raw_parts_mut(value, buffer.length) };
            bytes.extend_from_slice(own);
            own.zeroize();
        }
        let mut minor = 0;
        // SAFETY: the library made the buffer, or it is empty.
        unsafe { (self.release_buffer)(&raw mut minor, &raw mut buffer) };
        bytes
    }

    /// What a status means. That of the mechanism tells more.
    pub(super) fn problem(&self, major: u32, minor: u32, mechanism: &Oid) -> Problem {
        let mut text = String::new();
        if minor != 0 {
            text = self.text(minor, OF_MECHANISM, mechanism);
        }
        if text.is_empty() {
            text = self.text(major, GENERAL, mechanism);
        }
        Problem::new(kind_of(&text), text)
    }

    fn text(&self, status: u32, kind: c_int, mechanism: &Oid) -> String {
        let (mut minor, mut more, mut buffer) = (0, 0, Buffer::empty());
        // SAFETY: all pointers are valid for the call.
        let shown = unsafe {
            (self.display)(&raw mut minor, status, kind, mechanism, &raw mut more, &raw mut buffer)
        };
        let text = self.take(buffer);
        match is_error(shown) {
            true => String::new(),
            false => String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

/// The library's words, of which each chooses an advice: see [`super::english`].
fn kind_of(text: &str) -> Kind {
    const KINDS: [(&str, Kind); 18] = [
        // This host was never set up for Kerberos.
        ("does not specify default realm", Kind::Missing),
        ("No Kerberos credentials", Kind::NoTicket),
        ("No credentials cache", Kind::NoTicket),
        ("Credentials cache file", Kind::NoTicket),
        ("Matching credential not found", Kind::NoTicket),
        ("Ticket expired", Kind::Expired),
        ("credentials have expired", Kind::Expired),
        ("Cannot contact any KDC", Kind::NoKdc),
        ("Cannot find KDC", Kind::NoKdc),
        ("Cannot resolve", Kind::NoKdc),
        ("Clock skew", Kind::Clock),
        ("Ticket not yet valid", Kind::Clock),
        ("Server not found", Kind::UnknownService),
        ("not found in Kerberos database", Kind::Refused),
        ("Preauthentication failed", Kind::Refused),
        ("have been revoked", Kind::Refused),
        ("Password", Kind::Refused),
        ("Decrypt integrity check failed", Kind::Refused),
    ];
    if text.starts_with("Server ") && text.contains("not found in Kerberos database") {
        return Kind::UnknownService;
    }
    let known = KINDS.iter().find(|(words, _)| text.contains(words));
    known.map_or(Kind::Other, |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_has_its_advice() {
        for (text, kind) in [
            ("No Kerberos credentials available (default cache: FILE:/x)", Kind::NoTicket),
            ("Configuration file does not specify default realm", Kind::Missing),
            ("Ticket expired", Kind::Expired),
            ("Cannot contact any KDC for realm 'MDE.TEST'", Kind::NoKdc),
            ("Cannot find KDC for realm \"MDE.TEST\"", Kind::NoKdc),
            ("Clock skew too great", Kind::Clock),
            ("Server HTTP/p@MDE.TEST not found in Kerberos database", Kind::UnknownService),
            ("Client 'a@MDE.TEST' not found in Kerberos database", Kind::Refused),
            ("Preauthentication failed", Kind::Refused),
            ("Client's credentials have been revoked", Kind::Refused),
            ("Uhr geht falsch", Kind::Other),
        ] {
            assert_eq!(kind_of(text), kind, "{text}");
        }
    }
}

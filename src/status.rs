//! The status table. The bindings repeat it, and tests compare them with it.
//!
//! The C constants, `mde_status_name`, the `name` member of an error document and the table in `docs/status.md` are
//! all made from it. Codes are append-only: a code never changes its number, name or meaning. The build script
//! includes this file, so it imports nothing.

macro_rules! statuses {
    ($($variant:ident = $code:literal, $name:literal, $meaning:literal;)*) => {
        /// The result of an operation. The numbers are part of the C ABI.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum Status {
            $(#[doc = $meaning] $variant = $code,)*
        }

        impl Status {
            /// Every status, in the order of its number.
            pub const ALL: &'static [Status] = &[$(Status::$variant,)*];

            /// The number that crosses the C ABI.
            pub const fn code(self) -> i32 {
                self as i32
            }

            /// The name in error documents, for example `rate_limited`.
            pub const fn name(self) -> &'static str {
                match self { $(Status::$variant => $name,)* }
            }

            /// The same name as a C string.
            pub const fn c_name(self) -> &'static core::ffi::CStr {
                match self {
                    $(Status::$variant => {
                        const NAME: &core::ffi::CStr =
                            match core::ffi::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                                Ok(name) => name,
                                Err(_) => c"",
                            };
                        NAME
                    })*
                }
            }

            /// What the status means, in a sentence or two.
            pub const fn meaning(self) -> &'static str {
                match self { $(Status::$variant => $meaning,)* }
            }
        }
    };
}

statuses! {
    Ok = 0, "ok", "The operation succeeded.";

    Null = 1, "null", "A required pointer is NULL. The message names the argument.";
    Utf8 = 2, "utf8", "A string is not valid UTF-8. The message names the argument.";
    InvalidArgument = 3, "invalid_argument", "An argument has an unusable value. The message names the argument and what is accepted.";
    Config = 4, "config", "An option is unknown, has an unusable value, or does not fit the others. The message names it.";
    Closed = 5, "closed", "The client was shut down.";
    Forked = 6, "forked", "The client was made in another process (before a fork). Make a new one in this process.";

    Token = 20, "token", "The sign-in service refused, or the token provider or signer failed. Check the credentials.";
    Unauthorized = 21, "unauthorized", "The service answered 401 and a fresh token did not cure it.";
    Forbidden = 22, "forbidden", "The service answered 403: the application lacks a permission, or the token is for another audience.";

    Resolve = 40, "resolve", "The host name could not be resolved.";
    Connect = 41, "connect", "The connection could not be opened.";
    Tls = 42, "tls", "The TLS handshake failed or the certificate is not trusted.";
    Proxy = 43, "proxy", "The proxy refused or did not answer properly.";
    Broken = 44, "broken", "The connection was lost before the whole reply had arrived.";
    Protocol = 45, "protocol", "A reply was not understood. It may come from a proxy, a gateway or another service.";

    BadRequest = 60, "bad_request", "The service refused the request as wrong (400 and its relatives).";
    NotFound = 61, "not_found", "The device, action or JSON member does not exist.";
    AlreadyRunning = 62, "already_running", "A collection already runs on the device; action_id names it when it could be found.";
    NotReady = 63, "not_ready", "The action exists but is not finished.";
    ActionFailed = 64, "action_failed", "The action ended in state Failed.";
    ActionTimedOut = 65, "action_timed_out", "The action ended in state TimeOut.";
    ActionCancelled = 66, "action_cancelled", "The action ended in state Cancelled.";
    UnsupportedDevice = 67, "unsupported_device", "The device's operating system or sensor does not support this action.";
    OutcomeUnknown = 68, "outcome_unknown", "The request may have been carried out, but neither a reply nor the list of actions tells. Check before repeating it.";
    Service = 69, "service", "The service failed (5xx).";
    Incomplete = 70, "incomplete", "Every device has its outcome, but not every package is there. The document has them all.";

    RateLimited = 80, "rate_limited", "The quota has no room now, and the caller chose not to wait or has no time for it. See retry_after_ms; without it, calls under way or waiting have to end first.";
    Throttled = 81, "throttled", "The service kept answering 429. See retry_after_ms.";
    Deadline = 82, "deadline", "The deadline passed before the operation was complete.";
    Cancelled = 83, "cancelled", "The operation was cancelled.";

    File = 100, "file", "A local file could not be read or written, or is not a regular file. The message names it.";
    DiskFull = 101, "disk_full", "The disk is full. The part on disk is kept, and the same call resumes when there is room.";
    Integrity = 102, "integrity", "A package is damaged or cut short. The message names the entry, and the file in which the download is kept.";
    Unsafe = 103, "unsafe", "A package could do harm where it is unpacked, or its content cannot be checked. It is kept, and the document lists its unsafe entries.";

    Internal = 900, "internal", "A defect in the library was contained. The client remains usable; please report it.";
}

impl Status {
    /// The status with this number, if there is one.
    pub fn from_code(code: i32) -> Option<Status> {
        Status::ALL.iter().copied().find(|status| status.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn numbers_ascend_and_names_are_unique() {
        for pair in Status::ALL.windows(2) {
            assert!(pair[0].code() < pair[1].code());
        }
        let names: std::collections::HashSet<_> = Status::ALL.iter().map(|s| s.name()).collect();
        assert_eq!(names.len(), Status::ALL.len());
        assert!(
            names
                .iter()
                .all(|n| { n.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b == b'8') })
        );
    }

    #[test]
    fn from_code_is_the_inverse_of_code() {
        for status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(*status));
        }
        assert_eq!(Status::from_code(7), None);
    }
}

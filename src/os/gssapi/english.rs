//! English words of the C library and of GSSAPI, whatever language the process has set: they choose an advice, and are part
//! of our messages.

use std::ptr;

use nix::libc::{LC_MESSAGES_MASK, freelocale, locale_t, newlocale, uselocale};

/// While it lives, this thread has English words.
pub(super) struct English {
    own: locale_t,
    before: locale_t,
}

impl English {
    /// `None`: there is no memory for it.
    pub(super) fn begin() -> Option<English> {
        // SAFETY: the name ends with zero, and the null pointer stands for a new locale.
        let own = unsafe { newlocale(LC_MESSAGES_MASK, c"C".as_ptr(), ptr::null_mut()) };
        if own.is_null() {
            return None;
        }
        // SAFETY: the locale is valid. It is this thread's alone, and the thread leaves it before it is freed.
        let before = unsafe { uselocale(own) };
        Some(English { own, before })
    }
}

impl Drop for English {
    fn drop(&mut self) {
        // SAFETY: the thread had this locale before.
        unsafe { uselocale(self.before) };
        // SAFETY: made at the begin, and used no more.
        unsafe { freelocale(self.own) };
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use std::ffi::CStr;

    use nix::libc::{CODESET, LC_ALL_MASK, nl_langinfo};

    use super::*;

    fn characters() -> String {
        // SAFETY: the function only reads what this thread has set.
        let name = unsafe { nl_langinfo(CODESET) };
        // SAFETY: the text ends with zero, and is copied at once.
        unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
    }

    #[test]
    fn the_language_of_the_thread_is_put_aside_for_a_while() {
        // SAFETY: the name ends with zero, and the null pointer stands for a new locale.
        let other = unsafe { newlocale(LC_ALL_MASK, c"C.UTF-8".as_ptr(), ptr::null_mut()) };
        assert!(!other.is_null(), "glibc has no C.UTF-8");
        // SAFETY: the locale is valid, and left before it is freed.
        let first = unsafe { uselocale(other) };
        assert_eq!(characters(), "UTF-8");
        let english = English::begin().unwrap();
        assert_eq!(characters(), "ANSI_X3.4-1968");
        drop(english);
        assert_eq!(characters(), "UTF-8");
        // SAFETY: the thread had this locale before.
        unsafe { uselocale(first) };
        // SAFETY: made above, and used no more.
        unsafe { freelocale(other) };
    }
}

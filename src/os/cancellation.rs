//! Cancellation of the host's threads (`pthread_cancel`).
//!
//! glibc cancels a thread by unwinding its stack, and Rust ends the process where that unwinding reaches a
//! `catch_unwind`. musl and macOS drop the stack, and the call of the library would stay open for ever.

/// Defers the cancellation of this thread while it lives. Then it comes at the thread's next cancellation point.
pub(crate) struct Deferred {
    /// What the host had set. `None`: the system had no answer.
    #[cfg(all(unix, not(target_os = "android"), not(miri)))]
    before: Option<i32>,
}

#[cfg(all(unix, not(target_os = "android"), not(miri)))]
mod system {
    use super::Deferred;

    /// `PTHREAD_CANCEL_DISABLE` of `<pthread.h>`.
    const DISABLE: i32 = if cfg!(target_vendor = "apple") { 0 } else { 1 };

    unsafe extern "C" {
        fn pthread_setcancelstate(state: i32, before: *mut i32) -> i32;
    }

    fn set(state: i32) -> Option<i32> {
        let mut before = 0;
        // SAFETY: the pointer is valid for the call, and the function changes nothing but this thread's state.
        let failed = unsafe { pthread_setcancelstate(state, &raw mut before) };
        (failed == 0).then_some(before)
    }

    impl Deferred {
        pub(crate) fn new() -> Deferred {
            Deferred { before: set(DISABLE) }
        }
    }

    impl Drop for Deferred {
        fn drop(&mut self) {
            if let Some(before) = self.before {
                set(before);
            }
        }
    }
}

/// Windows and Android cannot cancel threads.
#[cfg(not(all(unix, not(target_os = "android"), not(miri))))]
impl Deferred {
    pub(crate) fn new() -> Deferred {
        Deferred {}
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn pthread_setcancelstate(state: i32, before: *mut i32) -> i32;
    }

    fn state() -> i32 {
        let mut before = -1;
        // SAFETY: the pointers are valid for the calls; the second call restores what the first has changed.
        unsafe { pthread_setcancelstate(1, &raw mut before) };
        // SAFETY: as above.
        unsafe { pthread_setcancelstate(before, std::ptr::null_mut()) };
        before
    }

    #[test]
    fn the_state_of_the_host_comes_back() {
        assert_eq!(state(), 0, "enabled, as every thread begins");
        let outer = Deferred::new();
        assert_eq!(state(), 1);
        drop(Deferred::new());
        assert_eq!(state(), 1, "the inner one restores that of the outer one");
        drop(outer);
        assert_eq!(state(), 0);
    }
}

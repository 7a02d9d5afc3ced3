//! Which process this is, so that a forked child is told from its parent. Asking costs no system call.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// The id of this process.
pub(crate) fn process_id() -> u32 {
    id_of(incarnation())
}

/// Names this process among itself and those it was forked from. An id does not: that of an ancestor which has
/// ended may be given to a child, who has the ancestor's memory, with locks that nobody will ever open.
///
/// On Linux it is kept in a page that the kernel empties in a forked child, which makes the child draw another.
/// Elsewhere, and where there is no such page, it is drawn when the id changes: a process that never asked for
/// it is not noticed between two with one id.
pub(crate) fn incarnation() -> u64 {
    #[cfg(all(target_os = "linux", not(miri)))]
    if let Some(kept) = page::get() {
        return match kept.load(Acquire) {
            0 => {
                let new = draw(std::process::id());
                // Another thread may have been faster.
                kept.compare_exchange(0, new, AcqRel, Acquire).map_or_else(|first| first, |_| new)
            }
            known => known,
        };
    }
    let id = std::process::id();
    match LAST.load(Acquire) {
        last if id_of(last) == id => last,
        _ => draw(id),
    }
}

/// The fork check: whether what was made in `made_in` belongs to this process. In a forked child it does not, and a lock of it
/// may be held by a thread that exists only in the parent.
pub(crate) fn is_this_process(made_in: u64) -> bool {
    made_in == incarnation()
}

/// The one that was drawn last, in this process or the nearest ancestor that has drawn one: a number that goes up
/// from each to its children, and the id of the process below.
static LAST: AtomicU64 = AtomicU64::new(0);

fn draw(id: u32) -> u64 {
    let next = |last: u64| ((last >> 32).wrapping_add(1) << 32) | u64::from(id);
    let before = LAST.fetch_update(AcqRel, Acquire, |last| Some(next(last)));
    before.map_or_else(next, next)
}

fn id_of(incarnation: u64) -> u32 {
    u32::try_from(incarnation & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(all(target_os = "linux", not(miri)))]
mod page {
    use std::ptr;
    use std::sync::atomic::Ordering::{Acquire, Release};
    use std::sync::atomic::{AtomicPtr, AtomicU64};

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    const SIZE: usize = 4096;

    static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

    /// Stands for a page that cannot be had: old kernels and some sandboxes refuse it.
    static NONE: AtomicU64 = AtomicU64::new(0);

    /// The page, made at the first call and kept for the life of the process.
    pub(super) fn get() -> Option<&'static AtomicU64> {
        let mut page = PAGE.load(Acquire);
        if page.is_null() {
            let new = map().unwrap_or(ptr::from_ref(&NONE).cast_mut());
            // No lock: a fork may happen while another thread is here.
            page = match PAGE.compare_exchange(ptr::null_mut(), new, Release, Acquire) {
                Ok(_) => new,
                Err(first) => {
                    unmap(new);
                    first
                }
            };
        }
        if ptr::eq(page, &NONE) {
            return None;
        }
        // SAFETY: not NULL and not NONE, so a whole mapped page, which is never unmapped once it is in PAGE;
        // fresh pages are zero, which is a valid AtomicU64.
        Some(unsafe { &*page })
    }

    fn map() -> Option<*mut AtomicU64> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping wherever the kernel likes touches no memory of anybody.
        let page =
            unsafe { mmap_anonymous(ptr::null_mut(), SIZE, access, MapFlags::PRIVATE) }.ok()?;
        let page = page.cast::<AtomicU64>();
        // SAFETY: exactly the page that was just mapped.
        if unsafe { madvise(page.cast(), SIZE, Advice::LinuxWipeOnFork) }.is_err() || is_pretended()
        {
            unmap(page);
            return None;
        }
        Some(page)
    }

    /// qemu's user mode says yes to all advice and follows none; a kernel refuses this one for shared pages.
    fn is_pretended() -> bool {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: as in `map`.
        let page = unsafe { mmap_anonymous(ptr::null_mut(), SIZE, access, MapFlags::SHARED) };
        let Ok(page) = page else { return true };
        // SAFETY: exactly the page that was just mapped.
        let accepted = unsafe { madvise(page, SIZE, Advice::LinuxWipeOnFork) }.is_ok();
        unmap(page.cast());
        accepted
    }

    fn unmap(page: *mut AtomicU64) {
        if !ptr::eq(page, &NONE) {
            // SAFETY: mapped by `map`, and nobody else has seen it.
            let _ = unsafe { munmap(page.cast(), SIZE) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_as_long_as_the_process_is() {
        assert_eq!(process_id(), std::process::id());
        assert_eq!(incarnation(), incarnation());
    }

    /// Not elsewhere: it would rename this process.
    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn an_id_that_is_given_again_names_another_process() {
        let (one, two) = (draw(7), draw(7));
        assert_eq!((id_of(one), id_of(two)), (7, 7));
        assert_ne!(one, two);
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    unsafe extern "C" {
        fn fork() -> i32;
        fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
        fn _exit(code: i32) -> !;
    }

    /// Runs `then` in a forked child. Whether it said yes.
    #[cfg(all(target_os = "linux", not(miri)))]
    fn in_a_child(then: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child takes no lock that another thread may hold, and leaves by _exit.
        let child = unsafe { fork() };
        if child == 0 {
            let code = i32::from(!then());
            // SAFETY: it ends the process and runs nothing of it.
            unsafe { _exit(code) }
        }
        let mut status = -1;
        // SAFETY: the pointer is valid for the call.
        let waited = unsafe { waitpid(child, &raw mut status, 0) };
        (waited, status) == (child, 0)
    }

    /// Compared without their ids, as if those had been given again.
    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn a_forked_child_is_none_of_its_ancestors() {
        let number = || incarnation() >> 32;
        let parent = number();
        assert!(in_a_child(|| {
            let child = number();
            child != parent
                && process_id() == std::process::id()
                && in_a_child(|| ![parent, child].contains(&number()))
        }));
        // Not even one whose own parent never asked.
        assert!(in_a_child(|| in_a_child(|| number() != parent)));
        assert_eq!(number(), parent);
    }
}

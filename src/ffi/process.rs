//! Which process this is, without a system call each time it is asked.

#[cfg(not(target_os = "linux"))]
pub(crate) use std::process::id;

/// The id of this process. Kept in a page that the kernel empties in a forked child, which makes the child
/// ask again.
#[cfg(target_os = "linux")]
pub(crate) fn id() -> u32 {
    use std::sync::atomic::Ordering::Relaxed;

    let Some(kept) = page::get() else {
        return std::process::id();
    };
    match kept.load(Relaxed) {
        0 => {
            let id = std::process::id();
            kept.store(id, Relaxed);
            id
        }
        id => id,
    }
}

#[cfg(target_os = "linux")]
mod page {
    use std::ptr;
    use std::sync::atomic::Ordering::{Acquire, Release};
    use std::sync::atomic::{AtomicPtr, AtomicU32};

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    const SIZE: usize = 4096;

    static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

    /// Stands for a page that cannot be had: old kernels and some sandboxes refuse it.
    static NONE: AtomicU32 = AtomicU32::new(0);

    /// The page, made at the first call and kept for the life of the process.
    pub(super) fn get() -> Option<&'static AtomicU32> {
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
        // fresh pages are zero, which is a valid AtomicU32.
        Some(unsafe { &*page })
    }

    fn map() -> Option<*mut AtomicU32> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping wherever the kernel likes touches no memory of anybody.
        let page =
            unsafe { mmap_anonymous(ptr::null_mut(), SIZE, access, MapFlags::PRIVATE) }.ok()?;
        let page = page.cast::<AtomicU32>();
        // SAFETY: exactly the page that was just mapped.
        if unsafe { madvise(page.cast(), SIZE, Advice::LinuxWipeOnFork) }.is_err() {
            unmap(page);
            return None;
        }
        Some(page)
    }

    fn unmap(page: *mut AtomicU32) {
        if !ptr::eq(page, &NONE) {
            // SAFETY: mapped by `map`, and nobody else has seen it.
            let _ = unsafe { munmap(page.cast(), SIZE) };
        }
    }
}

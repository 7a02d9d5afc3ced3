//! Calls of the host's callbacks, on threads that may end inside them.
//!
//! `pthread_exit` unwinds the stack on glibc, and Rust ends the process where that unwinding reaches a `catch_unwind`,
//! which every exported function has. A thread that the end of a Python interpreter stops comes this way. So the
//! unwinder is told that the stack ends below the callback. glibc then ends the thread without unwinding further, as
//! musl and macOS always do. For the library this is a callback that never returns: it forgets its values and uses none
//! of them again. An exception finds no handler on such a stack, and C++ ends the process where it is thrown.

/// Runs `callback`, which calls a function of the host and owns nothing that must be dropped.
pub(crate) fn call(mut callback: &mut dyn FnMut()) {
    below_the_end_of_the_stack(&raw mut callback);
}

/// `callback` points to what [`call`] was given. An unwinding may pass this function: it has nothing to drop.
unsafe extern "C-unwind" fn run(callback: *mut &mut dyn FnMut()) {
    // SAFETY: `call` passes a pointer to its argument, which it does not use meanwhile.
    unsafe { (*callback)() }
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64", not(miri)))]
#[inline(never)]
fn below_the_end_of_the_stack(callback: *mut &mut dyn FnMut()) {
    // SAFETY: this is a call of `run` by the rules of C, with a pointer that is valid for it. The directives are for the
    // unwinder alone: the caller of this function cannot be found.
    unsafe {
        std::arch::asm!(
            ".cfi_remember_state",
            ".cfi_undefined rip",
            "call {run}",
            ".cfi_restore_state",
            run = sym run,
            in("rdi") callback,
            clobber_abi("C"),
        );
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "aarch64", not(miri)))]
#[inline(never)]
fn below_the_end_of_the_stack(callback: *mut &mut dyn FnMut()) {
    // SAFETY: as on x86-64.
    unsafe {
        std::arch::asm!(
            ".cfi_remember_state",
            ".cfi_undefined x30",
            "bl {run}",
            ".cfi_restore_state",
            run = sym run,
            in("x0") callback,
            clobber_abi("C"),
        );
    }
}

/// Elsewhere no stack is unwound when a thread ends, or the process ends. Miri runs no assembly.
#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
)))]
fn below_the_end_of_the_stack(callback: *mut &mut dyn FnMut()) {
    // SAFETY: the pointer is valid for the call.
    unsafe { run(callback) }
}

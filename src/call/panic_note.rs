//! What a call that panicked leaves behind, for the code that contains the panic.

use std::cell::Cell;

thread_local! {
    /// Whether the panic that is being contained on this thread left a request unsettled.
    static AFTERMATH: Cell<bool> = const { Cell::new(false) };
}

/// Leaves word, for whoever contains the panic that is unwinding.
pub(crate) fn note_aftermath(unsettled: bool) {
    AFTERMATH.set(unsettled);
}

/// What was left by the panic that has just been contained.
pub(crate) fn take_aftermath() -> bool {
    AFTERMATH.take()
}

//! What a panicking call records for the code that contains the panic.

use std::cell::Cell;

thread_local! {
    /// Whether the panicking call of this thread left a request unsettled.
    static AFTERMATH: Cell<bool> = const { Cell::new(false) };
}

/// Records whether the call that is unwinding left a request unsettled.
pub(crate) fn record_aftermath(unsettled: bool) {
    AFTERMATH.set(unsettled);
}

/// Takes the record of the panic that has just been contained.
pub(crate) fn take_aftermath() -> bool {
    AFTERMATH.take()
}

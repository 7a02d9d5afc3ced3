//! Buffers that may hold secrets.

use zeroize::Zeroize;

/// Makes room for so many bytes more. Wipes the old buffer if a larger one is needed: a vector that grows leaves copies
/// behind.
pub(crate) fn make_room(buffer: &mut Vec<u8>, more: usize) {
    if buffer.capacity() - buffer.len() < more {
        let mut larger = Vec::with_capacity(buffer.len() + more);
        larger.extend_from_slice(buffer);
        std::mem::replace(buffer, larger).zeroize();
    }
}

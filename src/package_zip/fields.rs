//! Little-endian numbers in records.

/// The number of `size` bytes at `at`. Bytes beyond the record count as zero; callers read whole records.
#[inline(never)]
pub(super) fn number(record: &[u8], at: usize, size: usize) -> u64 {
    let bytes = record.iter().skip(at).take(size);
    bytes.rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// A length of two bytes.
pub(super) fn length(record: &[u8], at: usize) -> usize {
    usize::try_from(number(record, at, 2)).unwrap_or(0)
}

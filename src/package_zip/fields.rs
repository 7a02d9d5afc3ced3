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

/// The body of one extra field, empty if there is none. An incomplete field at the end is padding.
pub(super) fn extra(mut bytes: &[u8], wanted: u64) -> Result<&[u8], &'static str> {
    let mut found = None;
    while let Some((head, rest)) = bytes.split_at_checked(4) {
        let Some((body, rest)) = rest.split_at_checked(length(head, 2)) else { break };
        if number(head, 0, 2) == wanted && found.replace(body).is_some() {
            return Err("has one extra field twice");
        }
        bytes = rest;
    }
    Ok(found.unwrap_or_default())
}

/// Replaces numbers that did not fit by those of the 64-bit extra field, which has them in this order.
pub(super) fn lengthen(numbers: &mut [u64], extras: &[u8]) -> Result<(), &'static str> {
    const ZIP64: u64 = 0x0001;
    let mut field = extra(extras, ZIP64)?;
    for short in numbers.iter_mut().filter(|short| **short == u64::from(u32::MAX)) {
        let (long, rest) = field.split_at_checked(8).ok_or("lacks its 64-bit sizes")?;
        *short = number(long, 0, 8);
        field = rest;
    }
    Ok(())
}

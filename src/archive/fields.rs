//! Little-endian numbers, one after the other.

/// What is left of a record.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

/// The body of one extra field. `Err`: there are two of it. What does not divide into fields at the end is padding.
pub(super) fn extra(bytes: &[u8], wanted: u16) -> Result<Option<&[u8]>, &'static str> {
    let mut fields = Fields(bytes);
    let mut found = None;
    while let (Some(kind), Some(length)) = (fields.u16(), fields.u16()) {
        let Some(body) = fields.take(usize::from(length)) else { break };
        if kind == wanted && found.replace(body).is_some() {
            return Err("has one extra field twice");
        }
    }
    Ok(found)
}

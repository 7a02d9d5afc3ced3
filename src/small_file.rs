//! Files that a client is told to read: certificates, keys, tokens.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::net::failure::reason;

/// The whole of a file of up to `most` bytes, wiped when dropped. The error completes "… names a file that …".
pub(crate) fn read(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let unreadable = |error| format!("is not readable: {}", reason(&error));
    // Looked at before it is opened: opening a pipe may block.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let fits = metadata.is_file() && metadata.len() <= most;
    let length = usize::try_from(metadata.len()).ok().filter(|_| fits);
    let length = length.ok_or_else(|| format!("is not a file of up to {most} bytes"))?;
    // All at once, since a buffer that grows leaves copies behind; what is added meanwhile is left out.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    let file = File::open(path).map_err(unreadable)?;
    file.take(metadata.len()).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The same of text, without the blanks around it.
pub(crate) fn read_word(path: &Path, most: u64) -> Result<Zeroizing<String>, String> {
    let bytes = read(path, most)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    Ok(Zeroizing::new(text.trim_ascii().to_owned()))
}

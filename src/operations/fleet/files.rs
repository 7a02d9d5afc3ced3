//! The files that new devices name. None may be there, or be that of another device, since a device would have collected in
//! vain.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::Path;

use super::start::Known;
use super::storage::JournalFile;
use super::{JOURNAL, driver, engine, journal::Journal};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::operations::download::{Destination, file_error};

/// Checks the files of new devices.
pub(super) fn check(
    names: &[&str],
    known: &Known,
    journal: &Journal<JournalFile>,
    folder: &Path,
    call: &Call,
) -> Result<()> {
    let Some(longest) = names.iter().max_by_key(|name| name.len()) else { return Ok(()) };
    let mut taken = HashSet::new();
    for device in &known.devices {
        call.check().map_err(driver::stopped)?;
        let text = journal
            .text(device.span)
            .map_err(|error| file_error("read", &folder.join(JOURNAL), &error))?;
        taken.extend(
            engine::read(&text).ok().and_then(|it| it.file.map(|file| file.to_lowercase())),
        );
    }
    let is_free = |name: &str| {
        let path = folder.join(name);
        Destination::resolve(path.to_str().unwrap_or(name))?.is_free()
    };
    let there = names_in(folder).ok();
    for name in names {
        call.check().map_err(driver::stopped)?;
        let lower = name.to_lowercase();
        if taken.contains(&lower) {
            let problem = format!("names the file `{name}`, which another device of the job has");
            return Err(Error::argument("devices_json", &problem, "a name for each device"));
        }
        // A look at one name takes several calls of the system, and one at the folder shows that nearly all are free.
        if !there.as_ref().is_some_and(|there| is_surely_free(&lower, there)) {
            is_free(name)?;
        }
    }
    // It shows whether the names are too long.
    is_free(longest)
}

/// The names in a folder, in lower case.
fn names_in(folder: &Path) -> io::Result<BTreeSet<String>> {
    let names = fs::read_dir(folder)?;
    names.map(|entry| Ok(entry?.file_name().to_string_lossy().to_lowercase())).collect()
}

/// Whether a folder with these names has none that begins with this one, and so none that is in its way.
fn is_surely_free(lower: &str, there: &BTreeSet<String>) -> bool {
    // Some file systems take different texts for the same name.
    let has_one_form = lower.is_ascii() && !lower.contains('~');
    let next = there.range::<str, _>((Bound::Included(lower), Bound::Unbounded)).next();
    has_one_form && !next.is_some_and(|next| next.starts_with(lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_surely_free_if_none_begins_with_it() {
        let there = ["a.zip.part", "b", "b.zip", "c.zip"].map(str::to_owned).into();
        for (name, is_free) in [
            ("a.zip", false),
            ("a", false),
            ("b.zip", false),
            ("b.zi", false),
            ("b.zip2", true),
            ("bb.zip", true),
            ("d.zip", true),
            ("progra~1", false),
            ("\u{e4}.zip", false),
        ] {
            assert_eq!(is_surely_free(name, &there), is_free, "{name}");
        }
    }
}

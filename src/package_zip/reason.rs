//! What counts as unsafe, and which unpackers each line protects. `docs/packages.md` has the same lines.
//!
//! *Damaged* is another thing: the file contradicts itself in what makes its content, or ends too early, so that
//! programs read other content or none. An archive whose content cannot be checked is unsafe, not damaged: encrypted,
//! packed with another method than stored and deflated, or too large. Another download would bring the same, and
//! programs that have the password or the method can read it.
//!
//! Sources: APPNOTE.TXT 6.3.10; `mapname` and `mapattr` of Info-ZIP UnZip 6.0 (`unix/unix.c`); `process_extra` of
//! libarchive; `ZipItem.cpp` and `ExtractingFilePath.cpp` of 7-Zip; `zipfile.py` of Python; "Naming Files, Paths, and
//! Namespaces" of Microsoft.

// Names that lead elsewhere. All unpackers but those that drop such parts: 7-Zip, Python, unzip.
pub(super) const NO_NAME: &str = "has no name";
pub(super) const ABSOLUTE: &str = "has an absolute path";
pub(super) const DRIVE: &str = "has a path with a drive letter";
pub(super) const LEAVES: &str = "has a path that leaves the folder where it is unpacked (`..`)";

// Names that look like others, or are cut or changed. unzip drops control characters, Python ends at a NUL, HFS+
// ignores invisible characters, Explorer and Finder show another name.
pub(super) const CONTROL: &str = "has a control character in its name";
pub(super) const INVISIBLE: &str =
    "has a character in its name that is invisible or changes the direction of text";
pub(super) const LOOKALIKE: &str =
    "has a character in its name that may become a separator, dot or colon on Windows";
pub(super) const NOT_UTF8: &str = "has a name that is marked as UTF-8 and is not";

// Names that mean something else on Windows. Java, and programs that pass names on as they are. The last two not in
// packages of macOS and Linux, where such names are ordinary.
pub(super) const WINDOWS_DEVICE: &str = "has a name that is a device on Windows";
pub(super) const WINDOWS_STREAM: &str = "has a colon in its name, which makes a stream on Windows";
pub(super) const WINDOWS_CHARACTER: &str =
    "has a character in its name that Windows does not allow";
pub(super) const WINDOWS_END: &str = "has a name that ends in a dot or blank, which Windows drops";

// Two entries in one place. All unpackers: one replaces the other, or is left out.
pub(super) const SAME_PLACE: &str = "lands where another entry lands";
pub(super) const BELOW_A_FILE: &str = "lies in a folder that another entry makes a file";
pub(super) const PERHAPS_SAME_PLACE: &str =
    "may land where another entry lands, since their names are in different character sets";

// Second names, and fields that programs read differently. libarchive from a pipe, Java's streams and Archive Utility
// read the headers, the others the directory. unzip, libarchive, 7-Zip and Python believe Info-ZIP's second names.
pub(super) const OTHER_NAME: &str = "has another name in its header than in the directory";
pub(super) const OTHER_CHARACTERS: &str =
    "is marked as UTF-8 in its header or in the directory, but not in both";
pub(super) const UNLISTED: &str = "has an entry that its directory does not list";
pub(super) const EARLY_END: &str = "has a directory or its end among the entries";
pub(super) const SECOND_NAME: &str = "has a second name that differs from the first";
pub(super) const OLD_SECOND_NAME: &str = "has a second name in a field that few programs read";
pub(super) const FIELD_TWICE: &str = "has one extra field twice";
pub(super) const BROKEN_FIELD: &str = "has an extra field that is cut short";
// unzip leaves the entry out, without a sign in the list. What is stored or deflated needs 4.5 at most.
pub(super) const NEWER: &str = "needs a newer version of the format than 4.6";

// Other kinds than files and folders. unzip, libarchive, 7-Zip and Archive Utility make links.
pub(super) const LINK: &str =
    "is a symbolic link, which could lead out of the folder where it is unpacked";
pub(super) const SPECIAL: &str = "is a device, pipe or socket";
pub(super) const REPARSE_POINT: &str = "is a reparse point, which is a link on Windows";
pub(super) const LINK_FIELD: &str = "is a link or a device by one of its extra fields";
pub(super) const FULL_FOLDER: &str = "is a folder but has content";
pub(super) const FOLDER_OR_FILE: &str = "is a folder for some programs and a file for others";

// Content that cannot be checked, or that fills disks. All unpackers.
pub(super) const ENCRYPTED: &str = "is encrypted, so that its content cannot be checked";
pub(super) const METHOD: &str =
    "is packed with an unsupported method, so that its content cannot be checked";
pub(super) const BOMB: &str =
    "would grow more than 200 times when unpacked, as a zip bomb does, and is not checked";
pub(super) const TOO_LARGE: &str =
    "would make the package larger than 64 GiB when unpacked, and is not checked";
pub(super) const OVERLAPS: &str = "overlaps another entry, as in a zip bomb, and is not checked";
pub(super) const MANY_ENTRIES: &str = "has more than 100,000 entries, and is not checked";
pub(super) const LONG_DIRECTORY: &str = "has a directory of more than 8 MiB, and is not checked";

#[cfg(test)]
mod tests {
    /// The page has the texts of this file, and no others in the first column of its table.
    #[test]
    fn the_page_has_every_reason() {
        let page = include_str!("../../docs/packages.md");
        let code = include_str!("reason.rs").split("#[cfg(test)]").next().unwrap();
        let ours = code.split("&str").skip(1).map(|rest| rest.split('"').nth(1).unwrap());
        let ours: Vec<String> = ours.map(|text| text.replace('`', "")).collect();
        assert!(ours.len() > 30, "{ours:?}");
        let table = page.split("| reason |").nth(1).unwrap().split("\n\n").next().unwrap();
        let lines = table.lines().skip(2).map(|line| line.split('|').nth(1).unwrap().trim());
        let theirs: Vec<String> = lines.map(|text| text.replace('`', "")).collect();
        assert_eq!(ours, theirs);
    }
}

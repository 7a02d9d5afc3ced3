//! The investigation package: a zip with the files of a device of its kind, of any size.

mod contents;
mod filler;
mod tail;

use std::io::{self, Cursor, Write};
use std::sync::Arc;

use hyper::body::Bytes;
use zip::read::ZipArchive;
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, DateTime};

pub use contents::Device;

use crate::config::PackageFault;
use filler::Filler;
use tail::Stored;

/// A corrupt package needs a file whose checksum can be wrong.
const LEAST_CORRUPT: u64 = 4096;

/// Everything that a package depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub action: String,
    pub device: Device,
    /// Size of the long file.
    pub filler: u64,
    pub edition: u32,
    pub fault: PackageFault,
}

/// The package that was requested last, so that a download in many ranges is built once.
#[derive(Debug, Default)]
pub struct Packages(Option<(Order, Arc<Package>)>);

impl Packages {
    /// The package of an order: the same bytes each time.
    pub fn of(&mut self, order: &Order) -> io::Result<Arc<Package>> {
        if let Some((last, package)) = &self.0 {
            if last == order {
                return Ok(Arc::clone(package));
            }
        }
        let package = Arc::new(Package::build(order)?);
        self.0 = Some((order.clone(), Arc::clone(&package)));
        Ok(package)
    }
}

/// A package as the download host holds it. Only its short files are in memory.
#[derive(Debug)]
pub struct Package {
    head: Bytes,
    filler: Filler,
    tail: Bytes,
    len: u64,
    tag: String,
    pub content_type: &'static str,
}

impl Package {
    fn build(order: &Order) -> io::Result<Package> {
        let text = format!("{} {}", order.action, order.edition);
        let seed = fnv(text.as_bytes(), 0);
        if order.fault == PackageFault::Html {
            let page =
                b"<!DOCTYPE html><html><title>Blocked</title><p>Ask your administrator.</html>";
            let nothing = Filler::new(seed, 0);
            let package = Package::new(Bytes::from_static(page), nothing, Bytes::new());
            return Ok(Package { content_type: "text/html", ..package });
        }
        let corrupt = order.fault == PackageFault::Checksum;
        let bytes = if corrupt { order.filler.max(LEAST_CORRUPT) } else { order.filler };
        let package =
            join(short_files(order)?, order.device.long_file(), Filler::new(seed, bytes), corrupt)?;
        if order.fault == PackageFault::Truncated {
            return Ok(Package { len: package.len / 4 * 3, ..package });
        }
        Ok(package)
    }

    fn new(head: Bytes, filler: Filler, tail: Bytes) -> Package {
        // Changes with the content.
        let tag = fnv(&tail, fnv(&filler.part(0, 64), fnv(&head, 0)));
        let len = head.len() as u64 + filler.len() + tail.len() as u64;
        let tag = format!("\"0x{tag:016X}\"");
        Package { head, filler, tail, len, tag, content_type: "application/zip" }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// The entity tag, with its quotation marks.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Some of the bytes from `at`, at most `most`.
    pub fn part(&self, at: u64, most: usize) -> Bytes {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let most = most.min(left);
        let of = |bytes: &Bytes, at: u64| {
            let start = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            bytes.slice(start..start.saturating_add(most).min(bytes.len()))
        };
        let head = self.head.len() as u64;
        let tail = head + self.filler.len();
        if at < head {
            of(&self.head, at)
        } else if at < tail {
            self.filler.part(at - head, most)
        } else {
            of(&self.tail, at - tail)
        }
    }
}

/// A zip with all files but the long one.
/// The file of an unsafe package, which leaves the folder where it is unpacked.
const OUTSIDE: &str = "../../Startup/run.cmd";

fn short_files(order: &Order) -> io::Result<Vec<u8>> {
    let packed = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, text) in order.device.files(&order.action, order.edition) {
        zip.start_file(path, packed)?;
        zip.write_all(text.as_bytes())?;
    }
    if order.fault == PackageFault::Unsafe {
        zip.start_file(OUTSIDE, packed)?;
        zip.write_all(b"calc.exe\r\n")?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Puts the long file between the files of a zip and its directory.
fn join(zip: Vec<u8>, name: &str, filler: Filler, corrupt: bool) -> io::Result<Package> {
    if filler.len() == 0 {
        return Ok(Package::new(zip.into(), filler, Bytes::new()));
    }
    let entries = ZipArchive::new(Cursor::new(&zip))?;
    let (count, directory_at) = (entries.len(), entries.central_directory_start());
    let at = usize::try_from(directory_at).unwrap_or(usize::MAX);
    let directory_end = zip.len().saturating_sub(tail::end(0, 0, 0).len());
    let crc32 = filler.crc32() ^ u32::from(corrupt);
    let long = Stored { name, bytes: filler.len(), crc32 };
    let mut head = zip.get(..at).unwrap_or_default().to_vec();
    head.extend(long.local_header());
    let mut tail = zip.get(at..directory_end).unwrap_or_default().to_vec();
    tail.extend(long.central_entry(u32::try_from(at).unwrap_or(u32::MAX)));
    let count = u16::try_from(count + 1).unwrap_or(u16::MAX);
    tail.extend(tail::end(count, head.len() as u64 + filler.len(), tail.len()));
    Ok(Package::new(head.into(), filler, tail.into()))
}

/// FNV-1a, continued from an earlier part.
fn fnv(bytes: &[u8], before: u64) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64 ^ before, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(filler: u64) -> Order {
        Order {
            action: "5382f7ea-7557-4ab7-9782-d50480024a4e".to_owned(),
            device: Device::new("Windows11", "id", "device.example"),
            filler,
            edition: 0,
            fault: PackageFault::None,
        }
    }

    fn whole(package: &Package) -> Vec<u8> {
        let mut all = Vec::new();
        while (all.len() as u64) < package.len() {
            all.extend_from_slice(&package.part(all.len() as u64, 10_000));
        }
        all
    }

    #[test]
    fn the_long_file_is_a_file_like_the_others() {
        let short =
            ZipArchive::new(Cursor::new(whole(&Package::build(&order(0)).unwrap()))).unwrap();
        let package = Package::build(&order(3_000_000)).unwrap();
        let mut long = ZipArchive::new(Cursor::new(whole(&package))).unwrap();
        assert_eq!(long.len(), short.len() + 1);
        for at in 0..long.len() {
            let size = io::copy(&mut long.by_index(at).unwrap(), &mut io::sink()).unwrap();
            assert_eq!(size, long.by_index(at).unwrap().size());
        }
    }

    #[test]
    fn more_than_four_gibibytes_take_no_memory_and_little_time() {
        let five = 5 * 1024 * 1024 * 1024;
        let package = Package::build(&order(five)).unwrap();
        assert!(package.len() > five && package.head.len() + package.tail.len() < 100_000);
        // The records at the end are those of the 64-bit form, as another reader understands them.
        struct Sparse(Package, u64);
        impl io::Read for Sparse {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let part = self.0.part(self.1, buf.len());
                buf[..part.len()].copy_from_slice(&part);
                self.1 += part.len() as u64;
                Ok(part.len())
            }
        }
        impl io::Seek for Sparse {
            fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
                self.1 = match to {
                    io::SeekFrom::Start(at) => at,
                    io::SeekFrom::End(by) => self.0.len().checked_add_signed(by).unwrap(),
                    io::SeekFrom::Current(by) => self.1.checked_add_signed(by).unwrap(),
                };
                Ok(self.1)
            }
        }
        let mut zip = ZipArchive::new(Sparse(package, 0)).unwrap();
        let long = zip.by_name("Security event log/ArchivedSecurity.evtx").unwrap();
        assert_eq!((long.size(), long.compressed_size()), (five, five));
    }

    #[test]
    fn faults_and_editions_change_what_they_say() {
        let build = |edition, fault| Package::build(&Order { edition, fault, ..order(0) }).unwrap();
        let sound = build(0, PackageFault::None);
        assert_eq!(sound.tag(), build(0, PackageFault::None).tag());
        assert_ne!(sound.tag(), build(1, PackageFault::None).tag());
        assert!(whole(&build(0, PackageFault::Html)).starts_with(b"<!DOCTYPE"));
        let short = whole(&build(0, PackageFault::Truncated));
        assert!(whole(&sound).starts_with(&short) && (short.len() as u64) < sound.len());
        let outside = whole(&build(0, PackageFault::Unsafe));
        let zip = ZipArchive::new(Cursor::new(outside)).unwrap();
        assert!(zip.file_names().any(|name| name == OUTSIDE));
        let corrupt = build(0, PackageFault::Checksum);
        let mut zip = ZipArchive::new(Cursor::new(whole(&corrupt))).unwrap();
        let last = zip.len() - 1;
        let problem = io::copy(&mut zip.by_index(last).unwrap(), &mut io::sink()).unwrap_err();
        assert!(problem.to_string().contains("checksum"), "{problem}");
    }
}

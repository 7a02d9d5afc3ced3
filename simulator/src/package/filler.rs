//! A long incompressible file that is never whole in memory: each part is generated when it is sent.

use crc32fast::Hasher;
use hyper::body::Bytes;

const BLOCK: u64 = 1024 * 1024;
/// The length of a block's number, its first bytes.
const NUMBER: usize = size_of::<u64>();
/// Largest part that has to be copied.
const COPIED: usize = 64 * 1024;

/// Blocks of the same random bytes, each beginning with its number. No two parts of the file are
/// equal, so a download that was assembled wrongly has another checksum.
#[derive(Debug, Clone)]
pub struct Filler {
    block: Bytes,
    bytes: u64,
}

impl Filler {
    pub fn new(seed: u64, bytes: u64) -> Self {
        let mut block = vec![0; usize::try_from(BLOCK.min(bytes)).unwrap_or(0)];
        fastrand::Rng::with_seed(seed).fill(&mut block);
        Filler { block: block.into(), bytes }
    }

    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// The checksum of the whole, joined from those of its blocks.
    pub fn crc32(&self) -> u32 {
        let crc = |bytes: &[u8]| {
            let mut hasher = Hasher::new();
            hasher.update(bytes);
            hasher
        };
        let rest = crc(self.block.get(NUMBER..).unwrap_or_default());
        let mut whole = Hasher::new();
        for number in 0..self.bytes / BLOCK {
            whole.combine(&crc(&number.to_le_bytes()));
            whole.combine(&rest);
        }
        let mut at = self.bytes / BLOCK * BLOCK;
        while at < self.bytes {
            let part = self.part(at, usize::MAX);
            whole.update(&part);
            at += part.len() as u64;
        }
        whole.finalize()
    }

    /// Some of the bytes from `at`, at most `most`; none at the end.
    pub fn part(&self, at: u64, most: usize) -> Bytes {
        let left = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(usize::MAX);
        let offset = usize::try_from(at % BLOCK).unwrap_or(0);
        let end = offset.saturating_add(most.min(left)).min(self.block.len());
        if offset >= NUMBER || end <= offset {
            return self.block.slice(offset.min(end)..end);
        }
        let end = end.min(COPIED);
        let mut copy = self.block.get(..end).unwrap_or_default().to_vec();
        for (place, byte) in copy.iter_mut().zip((at / BLOCK).to_le_bytes()) {
            *place = byte;
        }
        Bytes::from(copy).slice(offset..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(filler: &Filler, most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while (all.len() as u64) < filler.len() {
            let part = filler.part(all.len() as u64, most);
            assert!(!part.is_empty() && part.len() <= most);
            all.extend_from_slice(&part);
        }
        assert!(filler.part(filler.len(), most).is_empty());
        all
    }

    #[test]
    fn parts_of_any_size_make_up_the_same_file() {
        for bytes in [0, 1, 7, 8, 9, BLOCK - 1, BLOCK, BLOCK + 3, 3 * BLOCK + 4097] {
            let filler = Filler::new(7, bytes);
            let all = whole(&filler, 64 * 1024);
            assert_eq!(all.len() as u64, bytes);
            assert_eq!(whole(&filler, 4099), all, "{bytes}");
            assert_eq!(crc32fast::hash(&all), filler.crc32(), "{bytes}");
        }
        let filler = Filler::new(7, 2 * BLOCK);
        assert_ne!(filler.part(0, 8), filler.part(BLOCK, 8), "blocks differ");
        assert_ne!(Filler::new(8, 9).crc32(), Filler::new(7, 9).crc32());
    }
}

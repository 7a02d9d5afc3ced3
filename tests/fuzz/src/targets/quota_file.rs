//! The quota file: edits of one whose quota is spent. No damage may free a slot.
//!
//! `form | length of the file | edits: position (2), byte`

use std::cell::RefCell;
use std::fs;

use mde::bench_hooks::Limiter;

use super::input::Input;
use super::scratch;

/// The other tables are as short as they can be.
const LIMITS: &str = "collect=4/86000;read=1/1;list=1/1;cancel=1/1;link=1/1;machines=1/1";

/// The bytes before this say that the file is a quota file of this version. Without them it is somebody else's file,
/// which is left alone.
const NAME_AND_VERSION: usize = 12;

thread_local! {
    /// A file with no slot left.
    static SPENT: RefCell<Vec<u8>> = RefCell::default();
}

fn spent() -> Vec<u8> {
    SPENT.with_borrow_mut(|spent| {
        if spent.is_empty() {
            *spent = scratch::with(|folder| {
                let path = folder.file("spent");
                let limiter = limiter(path.to_str().expect("UTF-8"));
                let caller = limiter.caller(None);
                (0..4).for_each(|_| caller.try_acquire().expect("a slot").replied());
                assert!(caller.try_acquire().is_err(), "a fifth slot of four");
                let bytes = fs::read(&path).expect("the file");
                folder.clear();
                bytes
            });
        }
        spent.clone()
    })
}

fn limiter(path: &str) -> Limiter {
    Limiter::with_file(LIMITS, path).expect("a limiter")
}

pub fn run(data: &[u8]) {
    let mut file = spent();
    let mut input = Input::new(data);
    let (form, length) = (input.byte(), usize::from(input.word()));
    if form & 1 == 1 {
        file.resize(length, 0xaa);
    }
    let mut is_ours = file.len() >= NAME_AND_VERSION;
    while !input.is_empty() {
        let (at, byte) = (usize::from(input.word()), input.byte());
        // Most of the file is free slots.
        let at = if form & 2 == 2 { at % 600 } else { at };
        if let Some(place) = file.get_mut(at) {
            is_ours &= at >= NAME_AND_VERSION || *place == byte;
            *place = byte;
        }
    }
    if form & 4 == 4 {
        repair(&mut file);
    }
    scratch::with(|folder| {
        let path = folder.file("quota");
        fs::write(&path, &file).expect("a file");
        {
            let limiter = limiter(path.to_str().expect("UTF-8"));
            let caller = limiter.caller(None);
            let taken = caller.try_acquire();
            if is_ours && form & 4 == 0 && !has_zeros(&file) {
                assert!(taken.is_err(), "damage has freed a slot");
            }
            drop(taken);
            limiter.usage();
        }
        folder.clear();
    });
}

/// Whether a slot was overwritten with zeros. That is a free one by the format, and the only damage that looks so.
fn has_zeros(file: &[u8]) -> bool {
    const HEAD: usize = 456;
    const SLOT: usize = 24;
    let slots = file.get(HEAD..file.len().min(HEAD + 4 * SLOT)).unwrap_or_default();
    slots.chunks(SLOT).any(|slot| slot.iter().all(|byte| *byte == 0))
}

/// Makes the checksums of the head right again, so that what stands there is believed.
fn repair(file: &mut [u8]) {
    for (from, to) in [(0, 68), (96, 108), (128, 144)] {
        let Some(sum) = file.get(from..to).map(crc32fast::hash) else { return };
        if let Some(place) = file.get_mut(to..to + 4) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
    }
}

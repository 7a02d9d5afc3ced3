//! Errors on purpose, which `tests/checkers.sh` runs one by one. A checker that does not find its errors is of no use.

use std::cell::UnsafeCell;
use std::hint::black_box;

#[test]
#[ignore = "a race on purpose"]
fn a_race() {
    struct Count(UnsafeCell<u64>);
    // SAFETY: this is wrong, which a checker has to find.
    unsafe impl Sync for Count {}
    impl Count {
        fn add(&self) {
            for _ in 0..1_000 {
                // SAFETY: as above.
                unsafe { *self.0.get() += 1 };
            }
        }
    }
    let count = Count(UnsafeCell::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| count.add());
        scope.spawn(|| count.add());
    });
    black_box(count.0.into_inner());
}

#[test]
#[ignore = "a read behind the end on purpose"]
fn a_read_behind_the_end() {
    let bytes = black_box(vec![1_u8; 16]);
    // SAFETY: this is wrong, which a checker has to find.
    let behind = unsafe { bytes.as_ptr().add(black_box(16)) };
    // SAFETY: as above.
    black_box(unsafe { behind.read() });
}

#[test]
#[ignore = "a use of freed memory on purpose"]
fn a_use_of_freed_memory() {
    let pointer = Box::into_raw(Box::new(black_box(1_u64)));
    // SAFETY: this is the only use of the box.
    drop(unsafe { Box::from_raw(pointer) });
    // SAFETY: this is wrong, which a checker has to find.
    black_box(unsafe { black_box(pointer).read() });
}

//! Who gives memory: mimalloc small blocks, of which a request takes hundreds and gives them back at once; the C library all
//! others, because it gives large ones back to the system when they are free. mimalloc for those too takes 135 kB for each open
//! stream instead of 72.

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout, System};

/// The largest block that is a small one, in bytes.
const SMALL: usize = 1024;
/// The largest alignment of one, in bytes.
const ALIGNED: usize = 16;

/// The allocator of the whole process. Which of the two has a block follows from its layout alone, which whoever gives it
/// back has to tell.
#[derive(Debug)]
pub struct BySize;

fn is_small(size: usize, align: usize) -> bool {
    size <= SMALL && align <= ALIGNED
}

// SAFETY: each call goes to one of two allocators that keep the contract, and all calls for one block go to the same: a block
// is only ever named with the layout that it was asked for with, and by it alone the allocator is chosen.
unsafe impl GlobalAlloc for BySize {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of the callee.
        unsafe {
            match is_small(layout.size(), layout.align()) {
                true => MiMalloc.alloc(layout),
                false => System.alloc(layout),
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            match is_small(layout.size(), layout.align()) {
                true => MiMalloc.alloc_zeroed(layout),
                false => System.alloc_zeroed(layout),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the layout is that of the block, so it goes to the allocator that it is from.
        unsafe {
            match is_small(layout.size(), layout.align()) {
                true => MiMalloc.dealloc(block, layout),
                false => System.dealloc(block, layout),
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: within one allocator as above. From one to the other: the new block is another one and has room for what both
        // have in common; the old one is given back only when there is a new one, as the contract has it; `size` is not 0 and
        // does not overflow with this alignment, which the caller promises.
        unsafe {
            match (is_small(layout.size(), layout.align()), is_small(size, layout.align())) {
                (true, true) => MiMalloc.realloc(block, layout, size),
                (false, false) => System.realloc(block, layout, size),
                _ => {
                    let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    if !new.is_null() {
                        std::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    new
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[global_allocator]
    static ALLOCATOR: BySize = BySize;

    #[test]
    fn blocks_keep_what_is_in_them_over_the_border_and_back() {
        for from in [1, 15, 16, 1000, SMALL, SMALL + 1, 5000] {
            for to in [1, 17, 900, SMALL - 1, SMALL, SMALL + 1, 9000] {
                let mut bytes: Vec<u8> = (0..from).map(|at| at as u8).collect();
                bytes.shrink_to_fit();
                bytes.reserve_exact(to);
                bytes.truncate(to);
                bytes.shrink_to_fit();
                assert!(bytes.iter().enumerate().all(|(at, &byte)| byte == at as u8), "{from} {to}");
                assert_eq!(bytes.len(), from.min(to));
            }
        }
    }

    #[test]
    fn new_blocks_are_zeroed_where_that_is_asked_for_and_aligned() {
        #[repr(align(64))]
        struct Aligned {
            bytes: [u8; 64],
        }
        for size in [1, 100, SMALL, SMALL + 1, 100_000] {
            drop(vec![0xff_u8; size]);
            assert!(vec![0_u8; size].iter().all(|&byte| byte == 0));
            let aligned = Box::new(Aligned { bytes: [1; 64] });
            assert_eq!((&raw const *aligned).addr() % 64, 0);
            assert!(aligned.bytes.iter().all(|&byte| byte == 1));
        }
    }

    #[test]
    fn blocks_of_one_thread_are_given_back_by_another() {
        let made: Vec<Vec<String>> = (0..8)
            .map(|thread| thread::spawn(move || (0..5_000).map(|at| "x".repeat((at * 7 + thread) % 2_100)).collect()))
            .map(|made| made.join().expect("made"))
            .collect();
        let given_back = thread::spawn(move || made.into_iter().flatten().map(|text| text.len()).sum::<usize>());
        assert!(given_back.join().expect("given back") > 0);
    }
}

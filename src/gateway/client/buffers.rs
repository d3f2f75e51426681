//! Buffers for request bodies, used again and again.
//!
//! A body that is allocated and freed for each request costs the page faults of its pages each time, and what is freed
//! is then handed to the long-lived buffers of open streams, which would keep those pages resident. Bodies therefore
//! live in buffers of their own, of which a bounded number of bytes is kept for the next request.

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use once_cell::sync::Lazy;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Capacity of the smallest buffers; smaller bodies are cheap to allocate.
const SMALLEST_BYTES: usize = 16 * 1024;
/// Each class has twice the capacity of the one before: 16 KiB to 8 MiB.
const CLASSES: usize = 10;
/// Buffers kept of one class.
const KEPT_PER_CLASS: usize = 64;
/// Bytes kept of all classes.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

static POOL: Lazy<Pool> = Lazy::new(Pool::default);

struct Pool {
    classes: [ArrayQueue<Vec<u8>>; CLASSES],
    kept_bytes: AtomicUsize,
}

impl Default for Pool {
    fn default() -> Self {
        Self { classes: std::array::from_fn(|_| ArrayQueue::new(KEPT_PER_CLASS)), kept_bytes: AtomicUsize::new(0) }
    }
}

/// The class whose buffers have room for `bytes`.
fn class_for(bytes: usize) -> Option<usize> {
    (0..CLASSES).find(|class| SMALLEST_BYTES << class >= bytes)
}

impl Pool {
    fn take(&self, bytes: usize) -> Option<Vec<u8>> {
        let buffer = self.classes[class_for(bytes)?].pop()?;
        self.kept_bytes.fetch_sub(buffer.capacity(), Ordering::Relaxed);
        Some(buffer)
    }

    fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let capacity = buffer.capacity();
        // A buffer belongs to the largest class that it has room for.
        let Some(class) = (0..CLASSES).rev().find(|class| capacity >= SMALLEST_BYTES << class) else { return };
        if capacity >= SMALLEST_BYTES << CLASSES {
            return;
        }
        if self.kept_bytes.fetch_add(capacity, Ordering::Relaxed) + capacity > KEPT_BYTES
            || self.classes[class].push(buffer).is_err()
        {
            self.kept_bytes.fetch_sub(capacity, Ordering::Relaxed);
        }
    }
}

/// An empty buffer with room for `bytes`, from those that are kept if possible.
pub(crate) fn take(bytes: usize) -> Vec<u8> {
    take_within(bytes, usize::MAX)
}

/// The same; a new one has no more room than `most` or what is needed.
pub(crate) fn take_within(bytes: usize, most: usize) -> Vec<u8> {
    POOL.take(bytes).unwrap_or_else(|| {
        let room = class_for(bytes).map_or(bytes, |class| SMALLEST_BYTES << class);
        Vec::with_capacity(if bytes < SMALLEST_BYTES || room > most { bytes } else { room })
    })
}

/// Gives a buffer back whose content is of no more use.
pub(crate) fn give(buffer: Vec<u8>) {
    POOL.give(buffer);
}

/// The content of a buffer as `Bytes`; with the last of them the buffer comes back to the pool.
pub(crate) fn into_bytes(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() < SMALLEST_BYTES { Bytes::from(buffer) } else { Bytes::from_owner(Pooled(buffer)) }
}

struct Pooled(Vec<u8>);

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        POOL.give(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_to_their_class() {
        let pool = Pool::default();
        assert!(pool.take(20_000).is_none());
        pool.give(Vec::with_capacity(40_000));
        assert!(pool.take(40_000).is_none(), "too small for the class of 64 KiB");
        assert_eq!(pool.take(20_000).map(|buffer| buffer.capacity()), Some(40_000));
        assert_eq!(pool.kept_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let pool = Pool::default();
        for _ in 0..100 {
            pool.give(Vec::with_capacity(1024 * 1024));
            pool.give(Vec::with_capacity(100));
            pool.give(Vec::with_capacity(32 * 1024 * 1024));
        }
        assert_eq!(pool.kept_bytes.load(Ordering::Relaxed), KEPT_BYTES);
        assert_eq!(pool.classes.iter().map(ArrayQueue::len).sum::<usize>(), 16);
    }

    #[test]
    fn bytes_bring_their_buffer_back() {
        let mut buffer = take(8 * 1024 * 1024);
        buffer.extend_from_slice(b"abc");
        let address = buffer.as_ptr();
        let bytes = into_bytes(buffer);
        let other = bytes.slice(1..);
        drop(bytes);
        assert_eq!(&other[..], b"bc");
        drop(other);
        let kept = take(8 * 1024 * 1024);
        assert_eq!((kept.as_ptr(), kept.len()), (address, 0));
    }
}

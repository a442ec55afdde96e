//! So many conversations at the same time, and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// One of some seats; given back when dropped.
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Seat {
    /// Takes a seat, if fewer than `most` are taken.
    pub(crate) fn take(busy: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        busy.fetch_update(SeqCst, SeqCst, |busy| (busy < most).then_some(busy + 1))
            .map(|_| Self(Arc::clone(busy)))
            .ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

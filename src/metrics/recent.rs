//! One exposition for all who ask within the same second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Facts, open_metrics};

/// Gathering makes the firewall's thread ask the kernel, so it is not done for everybody.
const FRESH: Duration = Duration::from_secs(1);

/// The exposition, gathered when somebody asks and kept for a second.
pub struct Recent {
    gather: Box<dyn Fn() -> Facts + Send + Sync>,
    kept: Mutex<Option<(Instant, Arc<str>)>>,
}

impl Recent {
    /// Gathers with `gather`, which may take some time but must come to an end.
    pub fn new(gather: impl Fn() -> Facts + Send + Sync + 'static) -> Self {
        Self { gather: Box::new(gather), kept: Mutex::default() }
    }

    /// The exposition as of `now`, at most a second old. Who comes while it is gathered waits for
    /// it.
    pub(super) fn text(&self, now: Instant) -> Arc<str> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = kept.as_ref().filter(|(at, _)| now.duration_since(*at) < FRESH) {
            return Arc::clone(text);
        }
        // A text takes everything; an empty one is no exposition, and says so to the reader.
        let text: Arc<str> = open_metrics((self.gather)()).unwrap_or_default().into();
        *kept = Some((now, Arc::clone(&text)));
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::super::sample;
    use super::*;

    #[test]
    fn many_who_ask_at_once_cost_one_gathering() {
        static GATHERED: AtomicU64 = AtomicU64::new(0);
        let recent = Recent::new(|| {
            let lines_lost = GATHERED.fetch_add(1, Relaxed);
            Facts { lines_lost, ..sample::facts() }
        });
        let start = Instant::now();
        for (millis, gathered) in [(0, 1), (1, 1), (999, 1), (1000, 2), (1500, 2), (9000, 3)] {
            let text = recent.text(start + Duration::from_millis(millis));
            assert_eq!(GATHERED.load(Relaxed), gathered, "after {millis} ms");
            let line = format!("portcullis_log_lines_lost_total {}\n", gathered - 1);
            assert!(text.contains(&line), "after {millis} ms: {text}");
        }
    }
}

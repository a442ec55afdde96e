//! How unlike everybody else a source is: machine learning over its first connection attempts.
//!
//! The detector is LODA (Pevný, "Loda: Lightweight on-line detector of anomalies", Machine
//! Learning 102, 2016): many one-dimensional histograms over random projections; what falls into
//! rare bins is unusual. It learns while it works, costs a fraction of a microsecond, and can say
//! which features made a score.
//!
//! ```text
//!  SYN ─▶ Habits ─▶ Digest ─▶ Scorer: mean −ln p over 64 histograms ─▶ score, p-value
//!          (16 features of 16 levels: 8 bytes)      ▲
//!  own SYNs of proven sources ─▶ Quarantine ─▶ Learner: genesis + learnt histograms,
//!                                (an hour or so)        calibration sources, drift guard
//! ```
//!
//! What it promises: of the honest sources, no more than the budget are called unusual, with nine
//! chances in ten, as long as tomorrow's honest sources resemble those that it was calibrated with
//! (split conformal prediction). What it does not promise: that unusual means hostile. So a score
//! never leads to a ban, and drops nothing unless the admin says so.
//!
//! Who would teach it that an attack is usual meets, in this order: only proven sources teach,
//! with SYNs that are surely their own; eight each; so many per network and day; only after a
//! quarantine in which they did not offend; half of every score comes from the histograms that
//! were shipped, which nobody can teach; and what departs too far in a day is rolled back.
//!
//! Depends on [`crate::packet`] only; [`crate::memory`] keeps the one [`Detector`] and, in every
//! source, its [`Habits`]. Times are seconds or milliseconds of the caller's clock.

mod calibration;
mod detector;
mod digest;
mod genesis;
mod habits;
mod histogram;
mod learner;
mod projections;
mod quarantine;
mod saved;
mod scorer;
mod words;

pub use calibration::{CALIBRATORS, sources_needed};
pub use detector::{Detector, Report, Tended, Unusual};
pub use digest::{Digest, FEATURES};
pub use habits::{Attempt, FirstLook, Habits, LOOKS};
pub use histogram::Histogram;
pub use learner::{Alarm, Budget};
pub use projections::{BINS, PROJECTIONS};
pub use quarantine::{Held, Sample};
pub use saved::Damaged;
pub use scorer::{Scorer, Share};
pub use words::{explain, name};

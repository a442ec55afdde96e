//! What is remembered of one source. Every field costs its bytes times the number of sources.

use std::time::Duration;

use super::glimpse::{packed, unpacked};
use super::{Moment, Purse, Tick, Visit, Walk};
use crate::anomaly::Habits;

/// The most service classes a policy can have, `other` among them.
pub const CLASSES: usize = 7;

/// One sender, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Source {
    /// How often it tried, altogether and per service class.
    pub buckets: Purse,
    /// Its denials of late.
    pub offences: Offences,
    /// What it tried, for the scan test.
    pub walk: Walk,
    /// The header of the connections it completed, as far as known.
    pub stack: Stack,
    /// Where it was let in while it had to prove itself.
    pub visit: Visit,
    /// How it behaves, for the anomaly check: 32 bytes.
    pub habits: Habits,
    /// A suspect until then, while the kernel's set has not caught up.
    pub suspect_until: Tick,
    /// Its buckets were emptied once, because somebody else had filled them.
    pub(super) relieved: bool,
}

impl Source {
    /// Takes note that the source is proven (or no longer is).
    ///
    /// If it has proven itself between SYNs that look otherwise, the others have never come to
    /// anything, and what it was charged with was mostly their doing: it starts with empty buckets.
    /// Only once, so that nobody makes a habit of it.
    #[inline]
    pub fn prove(&mut self, proven: bool) {
        let before = self.stack;
        self.stack.proven(proven);
        let parted = before != self.stack && matches!(self.stack, Stack::Blurred(_));
        if parted && !self.relieved {
            self.buckets.empty();
            self.relieved = true;
        }
    }
}

/// A forger who knows that a source is proven has this many guesses at how its SYNs look.
const CONTESTS: u8 = 3;

/// Denials in the window that began with the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offences {
    /// When the window began.
    since: Tick,
    /// Weighted denials of distinct attempts.
    pub denied: u16,
    /// Those of them that nobody else can have sent.
    pub own: u16,
    /// Points for being odd.
    pub score: u8,
    /// Some of the denials do not look like the connections it completed: somebody may be forging
    /// and trying out how they look, so nothing counts as the source's own in this window.
    pub contested: bool,
    /// In how many windows that was so, since the source is known.
    pub contests: u8,
    /// Some of it has nothing to do with a service for which bans close only one port.
    pub wide: bool,
}

impl Offences {
    /// Is that all that an attempt at `now` was charged with, so that [`Offences::first`] tells it?
    #[inline]
    pub(super) fn are_first(&self, now: Moment) -> bool {
        (self.since == Tick::default() || self.since == Tick::at(now))
            && self.denied <= u16::from(u8::MAX)
            && (self.own == 0 || self.own == self.denied)
            && self.contests == u8::from(self.contested)
    }

    /// What one attempt was charged with: its denials, its points, and four bits.
    #[inline]
    pub(super) fn first(&self) -> (u8, u8, u16) {
        let bits = [self.since != Tick::default(), self.own > 0, self.contested, self.wide];
        (self.denied as u8, self.score, packed(bits))
    }

    /// The offences of which [`Offences::first`] is this, with an attempt at `now`.
    #[inline]
    pub(super) fn at((denied, score, bits): (u8, u8, u16), now: Moment) -> Self {
        let [open, own, contested, wide] = unpacked(bits);
        let denied = denied.into();
        Self {
            since: if open { Tick::at(now) } else { Tick::default() },
            denied,
            own: if own { denied } else { 0 },
            score,
            contested,
            contests: contested.into(),
            wide,
        }
    }

    /// Starts afresh if the window is over.
    #[inline]
    pub fn open(&mut self, within: Duration, now: Moment) {
        let now = Tick::at(now);
        if now.since(self.since) > within {
            *self = Offences { since: now, contests: self.contests, ..Offences::default() };
        }
    }

    /// Takes note of a denial that does not look like the source. True if that happened in so many
    /// windows that nobody can tell any more who is who.
    #[inline]
    pub fn contest(&mut self) -> bool {
        if !self.contested {
            self.contests = self.contests.saturating_add(1);
        }
        (self.contested, self.own) = (true, 0);
        self.is_brute_forced()
    }

    /// Did somebody try out how the source's SYNs look, so often that he may have hit upon it?
    #[inline]
    pub fn is_brute_forced(&self) -> bool {
        self.contests >= CONTESTS
    }
}

/// What a stack and its distance look like in a SYN, as 24 bits of a hash. Far fewer looks than that
/// are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signature([u8; 3]);

impl Signature {
    /// A signature by a hash; its upper bits count.
    #[inline]
    pub fn of(hash: u64) -> Self {
        let [.., low, middle, high] = hash.to_le_bytes();
        Self([low, middle, high])
    }
}

/// Which stack a source's completed connections came from, learnt without trusting any SYN alone.
///
/// While a source is unproven, the signatures of the SYNs that were let in are collected. When
/// the kernel then reports that a connection was completed, and only one signature had been let
/// in, it was that one. If there were several, somebody may have forged some, and none is
/// believed: such a source can become a suspect, but is never banned for a mere SYN.
///
/// Of several signatures one is kept all the same, to keep the rates apart: that of an attempt
/// which came back, because who forges SYNs by the thousand seldom repeats one. Should it be the
/// forger's, the source is no worse off: both still have buckets of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stack {
    /// Nothing was let in yet, or the source was proven before it was known.
    #[default]
    Unknown,
    /// Let in with this signature; not proven yet.
    Candidate(Signature),
    /// Let in with several signatures, this one among them.
    Ambiguous(Signature),
    /// Proven, and nobody can tell by which of several signatures; until the proof lapses.
    Blurred(Signature),
    /// Completed a connection with this signature.
    Own(Signature),
}

impl Stack {
    /// Learns from a SYN that was let in; `returned` if the attempt had been refused before.
    #[inline]
    pub fn admitted(&mut self, signature: Signature, proven: bool, returned: bool) {
        *self = match (*self, proven) {
            (Stack::Unknown, false) => Stack::Candidate(signature),
            (Stack::Unknown, true) if returned => Stack::Blurred(signature),
            (Stack::Candidate(first), false) if first != signature => {
                Stack::Ambiguous(if returned { signature } else { first })
            }
            (Stack::Ambiguous(_), false) if returned => Stack::Ambiguous(signature),
            (known, _) => known,
        };
    }

    /// Takes note that the source is proven (or no longer is).
    #[inline]
    pub fn proven(&mut self, proven: bool) {
        *self = match (*self, proven) {
            (Stack::Candidate(signature), true) => Stack::Own(signature),
            (Stack::Ambiguous(signature), true) => Stack::Blurred(signature),
            // The proof has lapsed: start again.
            (Stack::Own(_) | Stack::Blurred(_), false) => Stack::Unknown,
            (known, _) => known,
        };
    }

    /// Nobody can tell any more whose SYNs are whose; the rates are kept apart as before.
    pub fn blur(&mut self) {
        if let Stack::Own(signature) = *self {
            *self = Stack::Blurred(signature);
        }
    }

    /// Does a SYN with this signature not look like the connections that the source completed?
    #[inline]
    pub fn disowns(&self, signature: Signature) -> bool {
        matches!(self, Stack::Own(own) | Stack::Blurred(own) if *own != signature)
    }

    /// Is a SYN with this signature the source's own beyond forging by someone who does not know
    /// its stack and distance?
    #[inline]
    pub fn owns(&self, signature: Signature) -> bool {
        *self == Stack::Own(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Draw;

    fn look(n: u64) -> Signature {
        Signature::of(n << 40)
    }

    #[test]
    fn it_costs_what_it_says() {
        assert_eq!((size_of::<Source>(), size_of::<Stack>()), (120, 4));
    }

    #[test]
    fn one_signature_before_the_proof_is_the_sources_own() {
        let mut stack = Stack::default();
        stack.admitted(look(1), false, false);
        stack.admitted(look(1), false, false);
        assert!(!stack.owns(look(1)));
        stack.proven(true);
        assert!(stack.owns(look(1)) && !stack.owns(look(2)));
        stack.admitted(look(2), true, false);
        assert!(stack.owns(look(1)), "a later SYN changes nothing");
        stack.proven(false);
        assert!(!stack.owns(look(1)));
    }

    #[test]
    fn a_forger_can_only_blur() {
        let mut stack = Stack::default();
        stack.admitted(look(1), false, false);
        stack.admitted(look(2), false, false);
        stack.proven(true);
        assert!(!stack.owns(look(1)) && !stack.owns(look(2)));
        // And not for ever: when the proof has lapsed, the source is learnt anew.
        stack.proven(false);
        stack.admitted(look(1), false, false);
        stack.proven(true);
        assert!(stack.owns(look(1)));
    }

    #[test]
    fn a_source_proven_before_it_was_known_owns_nothing() {
        let mut stack = Stack::default();
        stack.proven(true);
        stack.admitted(look(1), true, false);
        assert!(!stack.owns(look(1)));
    }

    #[test]
    fn of_several_signatures_the_one_that_came_back_is_told_apart() {
        for (learnt, own, foreign) in [
            // The forger's SYNs were let in first, then the client's second try.
            (&[(1, false, false), (2, false, true)][..], 2, 1),
            (&[(1, false, false), (3, false, false), (2, false, true)], 2, 3),
            // Nobody came back: the first it is, and the other one is apart from it.
            (&[(1, false, false), (2, false, false)], 1, 2),
            // Proven before it was known.
            (&[(2, true, true)], 2, 1),
        ] {
            let mut stack = Stack::default();
            for (signature, proven, returned) in learnt {
                stack.admitted(look(*signature), *proven, *returned);
            }
            stack.proven(true);
            assert!(
                stack.disowns(look(foreign)) && !stack.disowns(look(own)),
                "{learnt:?}: {stack:?}"
            );
            assert!(
                !stack.owns(look(own)) && !stack.owns(look(foreign)),
                "and nobody is banned for it"
            );
        }
    }

    #[test]
    fn it_is_relieved_once_of_what_others_did() {
        let limit = super::super::Limit::new(1, 60_000_000_000, 1);
        let mut source = Source::default();
        for relieved in [true, false] {
            source.stack.admitted(look(1), false, false);
            source.buckets.charge(Draw::Class(0), limit, Moment(0));
            source.stack.admitted(look(2), false, true);
            source.prove(true);
            assert_eq!(source.buckets.test(Draw::Class(0), limit, Moment(0)).is_ok(), relieved);
            source.buckets.charge(Draw::Class(0), limit, Moment(0));
            source.prove(true);
            assert!(
                source.buckets.test(Draw::Class(0), limit, Moment(0)).is_err(),
                "what it does now counts"
            );
            source.prove(false);
        }
        // With one look there is nobody else to blame.
        let mut source = Source::default();
        source.stack.admitted(look(1), false, false);
        source.buckets.charge(Draw::Class(0), limit, Moment(0));
        source.prove(true);
        assert!(source.buckets.test(Draw::Class(0), limit, Moment(0)).is_err());
    }

    #[test]
    fn windows_end() {
        let begun = Moment(5_000_000_000);
        let mut offences = Offences { denied: 9, ..Offences::default() };
        offences.open(Duration::from_secs(10), begun);
        assert_eq!(offences.denied, 0, "what is older than time has ended");
        (offences.denied, offences.own, offences.score, offences.contests) = (4, 4, 9, 2);
        offences.open(Duration::from_secs(10), begun + Duration::from_secs(10));
        assert_eq!((offences.denied, offences.own, offences.score), (4, 4, 9));
        // To a fifteenth of a second.
        offences.open(Duration::from_secs(10), begun + Duration::from_millis(10_100));
        assert_eq!((offences.denied, offences.own, offences.score), (0, 0, 0));
        assert_eq!(offences.contests, 2);
    }
}

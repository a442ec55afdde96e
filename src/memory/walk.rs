//! What a source tried lately and how it went: the state of a sequential test for scanning.
//!
//! The test itself, and what its numbers mean, is the policy's (`policy/checks/scan.rs`). Here is
//! only what must be remembered: 24 bytes a source.

use super::glimpse::{packed, unpacked};

/// A random walk that is clamped at zero, over distinct targets.
///
/// A target is a destination address and port. The last [`Walk::TARGETS`] of them are known, so
/// each counts once. A source that goes round among more targets than that may count some again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Latest first…
    targets: [u16; Walk::TARGETS],
    /// …and how many there are.
    known: u8,
    /// There is a served target whose outcome is not known yet…
    waits: bool,
    /// …and it is this one.
    pending: u16,
    value: Steps,
    own: Steps,
}

/// A distance on the walk, in 256ths of one failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Steps(u16);

impl Steps {
    /// One failure.
    pub const FAILURE: Steps = Steps(256);

    /// So many failures, 0 to 255; more is 255.
    pub fn of(failures: f64) -> Self {
        // Casting a float to an integer saturates.
        Self((failures.min(255.0) * 256.0).round() as u16)
    }

    /// In failures.
    pub fn failures(self) -> f32 {
        f32::from(self.0) / 256.0
    }

    /// Twice as far.
    pub fn twice(self) -> Self {
        self.up(self)
    }

    fn up(self, by: Steps) -> Self {
        Self(self.0.saturating_add(by.0))
    }

    /// The clamp: nobody saves successes up to pay for a scan.
    fn down(self, by: Steps) -> Self {
        Self(self.0.saturating_sub(by.0))
    }
}

/// A target, as a walk knows it, in 16 bits: those of a keyed hash of the address, plus the port.
/// So two ports of one host are never taken for each other, and of two hosts nobody can choose
/// ports that are; by chance, that happens to one pair in 65,536.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target(u16);

impl Target {
    /// A target by a keyed hash of its address, and its port.
    #[inline]
    pub fn of(hash: u64, port: u16) -> Self {
        Self(((hash >> 48) as u16).wrapping_add(port))
    }

    /// One of `count` places, by which targets are told apart roughly.
    #[inline]
    pub(super) fn slot(self, count: usize) -> usize {
        usize::from(self.0) % count
    }
}

impl Walk {
    /// Is that one step at most, so that [`Walk::first_step`] tells it?
    #[inline]
    pub(super) fn is_first_step(&self) -> bool {
        let (Target(target), _) = self.first_step();
        self.known <= 1
            && self.pending == if self.waits { target } else { 0 }
            && [self.value, self.own].iter().all(|steps| steps.0 & !Steps::FAILURE.0 == 0)
    }

    /// The walk after one step at most, as a target and four bits.
    #[inline]
    pub(super) fn first_step(&self) -> (Target, u16) {
        let known = self.known > 0;
        let bits = [known, self.waits, self.value > Steps::default(), self.own > Steps::default()];
        let target = if known { self.targets[0] } else { self.pending };
        (Target(target), packed(bits))
    }

    /// The walk of which [`Walk::first_step`] is this.
    #[inline]
    pub(super) fn after((Target(target), bits): (Target, u16)) -> Self {
        let [known, waits, value, own] = unpacked(bits);
        let if_so = |is: bool, this: u16| if is { this } else { 0 };
        let mut targets = [0; Self::TARGETS];
        targets[0] = if_so(known, target);
        Self {
            targets,
            known: known.into(),
            waits,
            pending: if_so(waits, target),
            value: Steps(if_so(value, Steps::FAILURE.0)),
            own: Steps(if_so(own, Steps::FAILURE.0)),
        }
    }

    /// How many targets are known at once.
    pub const TARGETS: usize = 8;

    /// Meets a target; true if it is new.
    #[inline]
    pub fn meet(&mut self, Target(target): Target) -> bool {
        let count = usize::from(self.known).min(Self::TARGETS);
        let known = self.targets[..count].iter().position(|known| *known == target);
        let place = known.unwrap_or(count.min(Self::TARGETS - 1));
        if known.is_none() && count < Self::TARGETS {
            self.known += 1;
        }
        self.targets.copy_within(..place, 1);
        self.targets[0] = target;
        known.is_none()
    }

    /// A target failed; `own` if nobody else can have sent this SYN.
    #[inline]
    pub fn fail(&mut self, own: bool) {
        self.value = self.value.up(Steps::FAILURE);
        if own {
            self.own = self.own.up(Steps::FAILURE);
        }
    }

    /// A target succeeded.
    #[inline]
    pub fn succeed(&mut self, step: Steps) {
        self.value = self.value.down(step);
        self.own = self.own.down(step);
    }

    /// Waits for the outcome of a target, unless another is waited for.
    #[inline]
    pub fn wait(&mut self, Target(target): Target) {
        if !self.waits {
            (self.waits, self.pending) = (true, target);
        }
    }

    /// The target that was waited for. It is no longer.
    #[inline]
    pub fn arrived(&mut self) -> Option<Target> {
        std::mem::take(&mut self.waits).then_some(Target(self.pending))
    }

    /// Where the walk stands.
    #[inline]
    pub fn value(&self) -> Steps {
        self.value
    }

    /// Where it would stand if only the failures counted that are surely the source's own.
    #[inline]
    pub fn own(&self) -> Steps {
        self.own
    }

    /// Begins the test anew. With `pardon_own` false, what was the source's own keeps counting.
    pub fn restart(&mut self, pardon_own: bool) {
        self.value = Steps::default();
        if pardon_own {
            self.own = Steps::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(n: u16) -> Target {
        Target::of(0, n)
    }

    #[test]
    fn each_target_is_new_once() {
        let mut walk = Walk::default();
        assert!(walk.meet(target(0)) && walk.meet(target(2)), "0 is a target like another");
        assert!(!walk.meet(target(2)) && !walk.meet(target(0)));
        // In use, it stays known; the one not met for longest is forgotten.
        for n in 10..17 {
            assert!(walk.meet(target(n)) && !walk.meet(target(0)));
        }
        assert!(walk.meet(target(2)));
    }

    #[test]
    fn one_outcome_is_waited_for() {
        let mut walk = Walk::default();
        assert_eq!(walk.arrived(), None);
        walk.wait(target(5));
        walk.wait(target(6));
        assert_eq!((walk.arrived(), walk.arrived()), (Some(target(5)), None));
    }

    #[test]
    fn one_step_is_told_by_a_target_and_four_bits() {
        let steps: [fn(&mut Walk); 4] = [
            |_| (),
            |walk| walk.wait(target(5)),
            |walk| _ = walk.meet(target(5)),
            |walk| {
                walk.meet(target(5));
                walk.fail(true);
            },
        ];
        for (n, step) in steps.iter().enumerate() {
            let mut walk = Walk::default();
            step(&mut walk);
            assert!(walk.is_first_step() && Walk::after(walk.first_step()) == walk, "{n}");
            assert_eq!(walk.first_step().1 >> 4, 0);
        }
        let mut walk = Walk::default();
        walk.wait(target(5));
        walk.meet(target(6));
        assert!(!walk.is_first_step(), "two targets");
        let mut walk = Walk::default();
        walk.fail(false);
        walk.fail(false);
        assert!(!walk.is_first_step(), "two failures");
    }

    #[test]
    fn own_failures_walk_beside_the_others() {
        let mut walk = Walk::default();
        (0..4).for_each(|_| walk.fail(false));
        (0..2).for_each(|_| walk.fail(true));
        assert_eq!((walk.value().failures(), walk.own().failures()), (6.0, 2.0));
        walk.restart(false);
        assert_eq!((walk.value().failures(), walk.own().failures()), (0.0, 2.0));
        walk.restart(true);
        assert_eq!(walk.own().failures(), 0.0);
    }

    #[test]
    fn steps_saturate() {
        assert_eq!(Steps::of(-1.0), Steps::default());
        assert_eq!(Steps::of(1e9), Steps::of(255.0));
        assert_eq!(Steps::of(4.19).failures(), 4.191_406_3);
        let mut walk = Walk::default();
        (0..1000).for_each(|_| walk.fail(true));
        assert!(walk.value() > Steps::of(255.0));
    }

    proptest! {
        /// The clamp: whatever came before, a run of failures raises the walk by its length.
        #[test]
        fn successes_cannot_be_saved_up(
            before in proptest::collection::vec(any::<bool>(), 0..100), successes in 0u16..500, failures in 0u16..20,
        ) {
            let mut walk = Walk::default();
            for success in before {
                if success { walk.succeed(Steps::FAILURE) } else { walk.fail(true) }
            }
            (0..successes).for_each(|_| walk.succeed(Steps::of(1.5)));
            (0..failures).for_each(|_| walk.fail(false));
            prop_assert!(walk.value() >= Steps::of(failures.into()));
            prop_assert!(walk.own() <= walk.value());
        }

        /// Among eight targets, the order of meeting them is of no matter.
        #[test]
        fn order_is_of_no_matter(visits in proptest::collection::vec(0u16..8, 0..60)) {
            let mut walk = Walk::default();
            let new = visits.iter().filter(|n| walk.meet(target(**n * 17 + 1))).count();
            let distinct: std::collections::BTreeSet<_> = visits.iter().collect();
            prop_assert_eq!(new, distinct.len());
        }
    }
}

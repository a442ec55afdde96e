//! Which SSH sessions are open, and whose peer is spared because of one. Pure: what is open, and
//! the time, are told.
//!
//! Whoever guesses passwords has a session too, for as long as sshd lets him try. So it takes more
//! than a session: it was open when the daemon started (nobody knows since when; an admin must not
//! be locked out by a restart), or the admin who reloads is in it, or it was open for longer than a
//! login may take when the policy was read anew.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::memory::Moment;

/// A session: this host's end, and the peer's.
pub(super) type Session = (SocketAddr, SocketAddr);

/// sshd hangs up on whoever has not logged in in time; so much later that is done.
const HANGING_UP: Duration = Duration::from_secs(5);

/// What the policy and sshd say of sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// How long a login may take; `None` for as long as anybody likes, so that no age tells.
    pub(super) login: Option<Duration>,
    /// How long a peer is spared after its session has ended.
    pub(super) grace: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    since: Moment,
    /// The last look at which it was open.
    last: Moment,
    spared: bool,
    /// It is an admin's, whatever its age.
    vouched: bool,
}

impl Seen {
    fn is_grown(&self, rule: Rule) -> bool {
        let seen = self.last.since(self.since);
        self.vouched || rule.login.is_some_and(|login| seen > login + HANGING_UP)
    }
}

/// Open sessions, since when they have been seen, and spared ones that have ended lately.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: BTreeMap<Session, Seen>,
    ended: BTreeMap<Session, Moment>,
}

impl Sessions {
    /// The daemon starts: every session that is open is spared while it lasts.
    pub(super) fn begin(open: &[Session], now: Moment) -> Self {
        let seen = Seen { since: now, last: now, spared: true, vouched: false };
        Self { open: open.iter().map(|session| (*session, seen)).collect(), ..Self::default() }
    }

    /// Of these, only those peers' sessions are spared: the others have a standing, and keep it.
    pub(super) fn only(&mut self, clean: &BTreeSet<IpAddr>) {
        self.open
            .iter_mut()
            .for_each(|((_, peer), seen)| seen.spared &= clean.contains(&peer.ip()));
    }

    /// Takes note of what is open now. A spared session that has ended spares its peer for the
    /// grace, if it was open for longer than a login may take.
    pub(super) fn note(&mut self, open: &[Session], rule: Rule, now: Moment) {
        let open: BTreeSet<Session> = open.iter().copied().collect();
        let ended = &mut self.ended;
        self.open.retain(|session, seen| {
            let stays = open.contains(session);
            if stays {
                seen.last = now;
            } else if seen.spared && seen.is_grown(rule) {
                ended.insert(*session, now);
            }
            stays
        });
        ended.retain(|_, since| now.since(*since) < rule.grace);
        let fresh = Seen { since: now, last: now, spared: false, vouched: false };
        for session in open {
            self.open.entry(session).or_insert(fresh);
        }
    }

    /// The peers that a reload may spare, if they have no standing.
    pub(super) fn grown(&self, rule: Rule) -> BTreeSet<IpAddr> {
        let grown = self.open.iter().filter(|(_, seen)| !seen.spared && seen.is_grown(rule));
        grown.map(|((_, peer), _)| peer.ip()).collect()
    }

    /// The policy is read anew: from now on these peers' sessions are spared if they have lasted,
    /// and the session in which that was typed is, if it is open.
    pub(super) fn spare(
        &mut self,
        clean: &BTreeSet<IpAddr>,
        typed_in: Option<Session>,
        rule: Rule,
    ) {
        for (session, seen) in &mut self.open {
            seen.vouched |= Some(*session) == typed_in;
            let grown = seen.is_grown(rule) && clean.contains(&session.1.ip());
            seen.spared |= seen.vouched || grown;
        }
    }

    /// The sessions because of which somebody is spared, and whether each is still open.
    pub(super) fn spared(&self) -> impl Iterator<Item = (Session, bool)> {
        let open = self.open.iter().filter(|(_, seen)| seen.spared);
        open.map(|(session, _)| (*session, true))
            .chain(self.ended.keys().map(|session| (*session, false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule =
        Rule { login: Some(Duration::from_secs(120)), grace: Duration::from_secs(600) };

    fn at(second: u64) -> Moment {
        Moment(1 + second * 1_000_000_000)
    }

    fn session(peer: &str) -> Session {
        ("198.51.100.2:22".parse().unwrap(), peer.parse().unwrap())
    }

    fn spared(sessions: &Sessions) -> Vec<String> {
        sessions.spared().map(|((_, peer), open)| format!("{peer} {open}")).collect()
    }

    #[test]
    fn those_open_at_the_start_are_spared_and_later_ones_are_not() {
        let (early, late) = (session("203.0.113.1:1"), session("203.0.113.2:2"));
        let mut sessions = Sessions::begin(&[early], at(0));
        sessions.note(&[early, late], RULE, at(10));
        assert_eq!(spared(&sessions), ["203.0.113.1:1 true"]);
        // A guesser who was there at the start has no grace when sshd has hung up on him.
        sessions.note(&[late], RULE, at(100));
        assert!(spared(&sessions).is_empty());
    }

    #[test]
    fn how_old_a_session_got_is_what_was_seen_and_not_when_it_was_missed() {
        let guesser = session("203.0.113.1:1");
        let mut sessions = Sessions::begin(&[guesser], at(0));
        sessions.note(&[guesser], RULE, at(115));
        // sshd hung up on him after 120 s. The next look comes late, because nft was slow.
        sessions.note(&[], RULE, at(140));
        assert!(spared(&sessions).is_empty());
    }

    #[test]
    fn whoever_has_a_standing_at_the_start_is_not_spared() {
        let [admin, banned] = ["203.0.113.1:1", "203.0.113.2:2"].map(session);
        let mut sessions = Sessions::begin(&[admin, banned], at(0));
        sessions.only(&BTreeSet::from([admin.1.ip()]));
        assert_eq!(spared(&sessions), ["203.0.113.1:1 true"]);
    }

    #[test]
    fn a_reload_spares_who_has_been_logged_in_and_has_no_standing() {
        let [admin, banned, guesser] =
            ["203.0.113.1:1", "203.0.113.2:2", "203.0.113.3:3"].map(session);
        let mut sessions = Sessions::default();
        sessions.note(&[admin, banned], RULE, at(0));
        sessions.note(&[admin, banned, guesser], RULE, at(60));
        sessions.note(&[admin, banned, guesser], RULE, at(125));
        assert!(sessions.grown(RULE).is_empty(), "sshd may be about to hang up");
        sessions.note(&[admin, banned, guesser], RULE, at(126));
        let grown = sessions.grown(RULE);
        assert_eq!(grown, BTreeSet::from([admin.1.ip(), banned.1.ip()]));
        sessions.spare(&BTreeSet::from([admin.1.ip()]), None, RULE);
        assert_eq!(spared(&sessions), ["203.0.113.1:1 true"]);
        // It ends, and the grace begins; then that ends too.
        sessions.note(&[banned, guesser], RULE, at(200));
        assert_eq!(spared(&sessions), ["203.0.113.1:1 false"]);
        sessions.note(&[banned, guesser], RULE, at(799));
        assert_eq!(spared(&sessions), ["203.0.113.1:1 false"]);
        sessions.note(&[banned, guesser], RULE, at(800));
        assert!(spared(&sessions).is_empty());
    }

    #[test]
    fn the_session_in_which_it_was_typed_counts_whatever_its_age() {
        let [own, other] = ["203.0.113.1:1", "203.0.113.2:2"].map(session);
        let mut sessions = Sessions::default();
        sessions.note(&[own, other], RULE, at(0));
        // Somebody may name any session; one that is not open gives nothing.
        sessions.spare(&BTreeSet::new(), Some(session("203.0.113.9:9")), RULE);
        assert!(spared(&sessions).is_empty());
        sessions.spare(&BTreeSet::new(), Some(own), RULE);
        sessions.note(&[other], RULE, at(2));
        assert_eq!(spared(&sessions), ["203.0.113.1:1 false"], "with its grace");
    }

    #[test]
    fn where_sshd_waits_for_ever_no_age_tells() {
        let rule = Rule { login: None, ..RULE };
        let mut sessions = Sessions::default();
        sessions.note(&[session("203.0.113.1:1")], rule, at(0));
        sessions.note(&[session("203.0.113.1:1")], rule, at(1_000_000));
        assert!(sessions.grown(rule).is_empty());
    }
}

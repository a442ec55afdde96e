//! What the firewall has to say, as events. Never waits: an event for which there is no room is
//! lost and counted.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use super::clock::Jump;
use super::entry::Entry;
use super::ledger::Moved;
use super::names::is_wide;
use super::redirect::RedirectError;
use crate::events::{Event, Grouped, Level, Notice, Span, StandingChange};
use crate::memory::SourceKey;
use crate::policy::Standing;

/// The same alarm is not raised more often than this.
const ALARM_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Teller {
    events: Box<dyn Fn(Event) + Send>,
    raised: HashMap<&'static str, Instant>,
}

impl Teller {
    pub(super) fn new(events: impl Fn(Event) + Send + 'static) -> Self {
        Self { events: Box::new(events), raised: HashMap::new() }
    }

    fn tell(&self, event: Event) {
        // The verdict and the ban stand whether or not somebody hears of them.
        (self.events)(event);
    }

    pub(super) fn notice(&self, level: Level, what: &'static str, text: String) {
        self.tell(Event::Notice(Notice { at: SystemTime::now(), level, what, text }));
    }

    fn alarm(&mut self, level: Level, what: &'static str, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.raised.get(what).is_some_and(|at| now.duration_since(*at) < ALARM_EVERY) {
            return;
        }
        self.raised.insert(what, now);
        self.notice(level, what, text());
    }

    /// A standing began, rose or ended.
    pub(super) fn standing(&self, entry: &Entry, ended: bool, enforced: bool) {
        let now = SystemTime::now();
        // Whole seconds: some microseconds have passed since the standing began.
        let left = Duration::from_secs(entry.left(now).as_secs_f64().round() as u64);
        let lasts = (entry.standing != Standing::Clean).then_some(left);
        if is_wide(entry.net) {
            let text = match lasts {
                Some(lasts) => {
                    format!("{} is banned for {:#}: {}", entry.net, Span(lasts), why(entry))
                }
                None if ended => format!("the ban of {} has ended", entry.net),
                None => format!("the ban of {} was removed", entry.net),
            };
            return self.notice(Level::Notice, "prefix", text);
        }
        let reason = match (lasts, ended) {
            (Some(_), _) => why(entry),
            (None, true) => "expired".into(),
            (None, false) => "removed".into(),
        };
        self.tell(Event::Standing(StandingChange {
            at: now,
            source: SourceKey::of(entry.net.addr()),
            port: entry.port,
            standing: entry.standing,
            lasts,
            reason,
            offence: if lasts.is_some() { entry.offences } else { 0 },
            enforced,
        }));
    }

    pub(super) fn budget_used_up(&mut self, source: SourceKey) {
        self.alarm(Level::Warning, "budget", || {
            format!(
                "{source} and perhaps others earned a ban but were not banned: too many bans in \
                 this minute ([bans] budget, budget_network). Judging goes on"
            )
        });
    }

    pub(super) fn list_full(&mut self, size: u32) {
        self.alarm(Level::Warning, "full", || {
            format!(
                "the ban list is full ({} standings, of which suspects get no more than half), so \
                 new offenders get none. Judging goes on. Raise [guard] set_size, then: portcullis reload. Who is in it: portcullis bans",
                Grouped(size.into())
            )
        });
    }

    pub(super) fn cannot_save(&mut self, why: &str) {
        self.alarm(Level::Error, "unsaved", || {
            format!(
                "standings are not saved and would be lost by a restart: {why}. It is tried again"
            )
        });
    }

    pub(super) fn kernel_fails(&self, why: &str) {
        let text = format!(
            "the kernel's table cannot be changed: {why}. Judging goes on, standings are kept and \
             put into the kernel as soon as it works again"
        );
        self.notice(Level::Error, "kernel", text);
    }

    pub(super) fn kernel_works_again(&self, standings: usize) {
        let text =
            format!("the kernel's table can be changed again and holds all {standings} standings");
        self.notice(Level::Notice, "kernel", text);
    }

    /// `trouble` is what could not be taken out of the kernel.
    pub(super) fn steps_aside(&self, since: SystemTime, trouble: Option<RedirectError>) {
        let since = Timestamp::try_from(since).unwrap_or(Timestamp::MAX);
        let trouble = trouble.map_or_else(String::new, |error| {
            format!(". Something of it may still be in the kernel: {error}")
        });
        let text = format!(
            "the gate stands aside since {}, because somebody typed portcullis panic: nothing is \
             judged and no ban acts until portcullis panic --over{trouble}",
            since.strftime("%F %TZ")
        );
        self.notice(Level::Error, "aside", text);
    }

    pub(super) fn is_out(&self) {
        let text = "nothing of the gate is in the kernel any more; it stands aside until portcullis \
                    panic --over";
        self.notice(Level::Warning, "aside", text.to_owned());
    }

    pub(super) fn steps_back(&self, standings: usize) {
        let text = format!(
            "the gate is back in its place: new connections are judged again, and the kernel holds \
             all {standings} standings"
        );
        self.notice(Level::Warning, "aside", text);
    }

    pub(super) fn repaired(&self, what: &str, elements: usize) {
        let text = format!(
            "the table inet portcullis was {what}. It is whole again; {}",
            match elements {
                0 => "no standing was in it".to_owned(),
                1 => "1 standing was put back or set right".to_owned(),
                more => format!("{} standings were put back or set right", Grouped(more as u64)),
            }
        );
        self.notice(Level::Warning, "flushed", text);
    }

    /// `away`: while no gate ran.
    pub(super) fn clock_was_set(&self, jump: &Jump, moved: Moved, away: bool) {
        let by = Span(Duration::from_secs(jump.by.as_secs_f64().round() as u64));
        let direction = if jump.ahead { "forward" } else { "back" };
        let away = if away { " while the gate did not run" } else { "" };
        let text = format!("the clock was set {direction} by {by}{away}{}", became_of(moved));
        self.notice(Level::Warning, "clock", text);
    }

    pub(super) fn iptables_gone(&self, who: &str) {
        let text = format!(
            "the iptables rule that hands SYNs to the queue was removed by {who}. It is back"
        );
        self.notice(Level::Warning, "flushed", text);
    }
}

/// What a jump of the clock means for the standings.
fn became_of(moved: Moved) -> String {
    let Moved { standings, stay, .. } = moved;
    let with_it = match standings {
        0 => String::new(),
        1 => ". 1 standing was moved with it and lasts as long as before".to_owned(),
        more => format!(
            ". {} standings were moved with it and last as long as before",
            Grouped(more as u64)
        ),
    };
    let stay = match stay {
        0 => String::new(),
        1 => ". 1 standing is older than what is known of this clock and was not moved".to_owned(),
        more => format!(
            ". {} standings are older than what is known of this clock and were not moved",
            Grouped(more as u64)
        ),
    };
    with_it + &stay
}

/// A check's name or an admin's words; an admin may have said nothing.
fn why(entry: &Entry) -> String {
    if entry.reason.is_empty() { "admin".to_owned() } else { entry.reason.to_string() }
}

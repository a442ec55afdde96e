//! What an admin should know.

use serde::Serialize;

/// Something that an admin should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// Something is off. If not, it is only good to know.
    pub off: bool,
    /// What was found, in a sentence.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do, with the command or the setting.
    #[serde(rename = "do")]
    pub todo: String,
}

impl Finding {
    /// Something is off.
    pub fn off(kind: FindingKind, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { kind, off: true, what: what.into(), why: kind.why(), todo: todo.into() }
    }

    /// Good to know.
    pub fn note(kind: FindingKind, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { off: false, ..Self::off(kind, what, todo) }
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident => $why:literal,)*) => {
        /// What kind of thing was found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FindingKind {
            $($(#[doc = $doc])* $kind,)*
        }

        impl FindingKind {
            /// Why it matters, in a sentence or two.
            pub fn why(self) -> &'static str {
                match self {
                    $(FindingKind::$kind => $why,)*
                }
            }

            /// All of them.
            pub const ALL: &[FindingKind] = &[$(FindingKind::$kind,)*];
        }
    };
}

kinds! {
    /// A program is missing or broken.
    ToolMissing => "The gate changes the kernel's rules with this program and cannot start or act without it.",
    /// No packet queues in the kernel.
    QueueModule => "New connections come to the gate through a queue of the kernel; without it there is no gate.",
    /// The kernel does not take the statement that the policy insists on.
    QueueStatement => "The policy allows no other way to the gate, so it will not start.",
    /// It was told to stand aside.
    Aside => "Nothing is judged and no ban acts, and it stays so through restarts until somebody says otherwise.",
    /// Nobody guards.
    NotRunning => "Nothing is judged. Bans that stand in the kernel go on acting until they end.",
    /// The daemon does not answer.
    Silent => "A gate that is stuck judges nothing: new connections wait until its queue is full, and only then does the policy's [queue] when_full act.",
    /// Another program has our queue.
    QueueTaken => "A queue number belongs to one program at a time: the gate cannot start, or gets nothing to judge.",
    /// The daemon runs, but does not hold its queue.
    QueueLost => "New connections pass by the gate, or are dropped, as if it were not there.",
    /// The policy file is newer than what the gate has read.
    PolicyChanged => "The gate acts by the older policy, and so does not do what the file says.",
    /// It only watches.
    Observing => "Everything is let in; the gate only says what it would have refused.",
    /// It only watches, because of a trial.
    Unconfirmed => "It shuts out nobody, because the policy may have shut out its own admin: nobody said in time that it is good.",
    /// It has given nothing up.
    Unconfined => "Whoever takes the process over, by a mistake in it or in nft, can do all that its user can.",
    /// The queue has other settings than the policy says.
    QueueOld => "A reload leaves [queue] as it was when the gate started: what was changed there is not in force.",
    /// Our table is not there.
    TableGone => "Bans do not act, and nothing is handed to the gate.",
    /// Our table was changed.
    TableChanged => "Rules that are missing or added let through what should be stopped, or stop what should pass.",
    /// The gate says that something is wrong with its table.
    TableTrouble => "What the gate decides does not reach the kernel.",
    /// Somebody keeps removing our table.
    Rebuilt => "Between the removal and the repair, at most two seconds, nothing is judged or banned.",
    /// The redirect rule is not there.
    RuleMissing => "Without it the kernel hands nothing over: connections of that family are not judged.",
    /// The redirect rule hands over to another queue.
    RuleDiffers => "Packets go to a queue at which the gate does not listen.",
    /// A rule before ours lets packets through.
    RuleBypassed => "What it matches never comes to the gate: whoever fits that rule is not judged.",
    /// A rule wipes out our mark.
    MarkOverwritten => "The gate's rule knows by a bit of the mark what to hand over. Once that is wiped out, nothing is judged.",
    /// Rules behind ours are skipped.
    RuleNotLast => "What the gate lets in leaves the chain at its rule, so rules behind it never see new connections.",
    /// Others drop packets that the gate never sees.
    DroppedBefore => "Whom they stop is not judged, counted or logged here, and portcullis explain knows nothing of it.",
    /// What the gate lets in may be refused behind it.
    RefusedBehind => "What the gate lets in may be refused there: then portcullis explain says that it is let in, and it gets no answer all the same.",
    /// Connection tracking is off for some.
    NotTracked => "The gate knows real visitors by connection tracking: visitors of those ports never count as real, and offenders are suspected at most, not banned.",
    /// What happens without a verdict is not what the policy says.
    FailMode => "While the gate is down or overrun, the kernel does the opposite of what the policy says.",
    /// Packets were lost on the way.
    Losses => "They were let in or dropped without a verdict, as [queue] when_full says.",
    /// Events, lines or orders were lost.
    Untold => "The log, or the kernel's sets, do not tell the whole story.",
    /// The socket holds less than the policy says.
    SmallBuffer => "In a burst, packets beyond it pass or are dropped without a verdict.",
    /// Many packets wait.
    Backlog => "Visitors wait as long as the packets before theirs, and beyond the queue's length nothing is judged.",
    /// A set is nearly full.
    SetFull => "What does not fit into a full set is not stopped by the kernel.",
    /// A set of those whose stopped packets are counted is nearly full.
    CountingFull => "Whoever finds no room there is stopped all the same, but not counted: portcullis bans tells no packets of theirs, and a suspect that goes on probing is not held longer for it.",
    /// The set of proven visitors is nearly full.
    ProvenFull => "Whoever finds no room there counts as a stranger, however often they come: in a flood they wait for their second knock.",
    /// Standings are on record, but not in the kernel.
    Drift => "Whoever should be stopped by the kernel comes in, or the other way round.",
    /// The journal may throw lines away.
    JournalLimit => "In an attack the journal throws away what is beyond its limit, and just then you want the lines.",
    /// Nobody takes the log lines.
    LogGone => "Blocks happen, but nobody can read of them.",
    /// The clock is not kept right.
    ClockLoose => "Bans end by the clock, and log lines are compared with those of other machines by it.",
    /// The clock was set.
    ClockMoved => "Bans are on record with the clock's time: after a jump, those of which nobody knows by what clock they were given end too early or too late.",
    /// Standings from the future.
    FromTheFuture => "The clock was ahead when they were made, or is behind now: they last longer than they should.",
    /// The ledger cannot be read.
    LedgerUnreadable => "After a restart the gate would know nobody whom it has banned.",
    /// The ledger is damaged.
    LedgerDamaged => "Standings behind the damage are forgotten at the next start.",
    /// The ledger cannot be written.
    LedgerUnwritable => "New bans do not survive a restart, and the gate may not start.",
    /// Hosts behind this one are not guarded.
    NotForwarding => "The policy guards hosts that nothing reaches through this one.",
    /// This host forwards, but nothing behind it is named.
    Unprotected => "Connections that are routed through this host are not judged, unless they come to a published port.",
    /// The proof failed.
    Disproved => "On this kernel the gate does not do what it promises.",
    /// No proof could be made.
    Unproven => "Whether bans block on this kernel was not seen.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_a_sentence_of_its_own() {
        let mut reasons: Vec<&str> = FindingKind::ALL.iter().map(|kind| kind.why()).collect();
        assert!(reasons.iter().all(|why| why.ends_with('.') && why.len() > 20));
        reasons.sort();
        reasons.dedup();
        assert_eq!(reasons.len(), FindingKind::ALL.len());
    }
}

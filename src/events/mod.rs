//! Decision → words and numbers for people.
//!
//! An [`Event`] is put into words once, as a [`Record`]; lines, syslog messages and JSON objects
//! are written from that, so they all use the same names and the same `id`.
//!
//! # Lines
//!
//! One event is one line: a verb, then `name=value` pairs, in the style and with the names of
//! netfilter's LOG target. A value that is more than a plain word is a JSON string of at most 600
//! bytes; nothing that a sender controls can end a line or look like another field. So parsers of
//! logfmt read the lines, too.
//!
//! | verb | level | what happened |
//! |---|---|---|
//! | `DROP` | warning | a packet was refused |
//! | `WOULD-DROP` | notice | it would have been, but the gate only observes |
//! | `DROP-MORE`, `WOULD-DROP-MORE` | as above | refusals that were not written one by one |
//! | `ACCEPT` | info | a packet was let in; told by `portcullis capture --all` only |
//! | `SUSPECT`, `BAN` | warning | a source's standing rose |
//! | `WOULD-SUSPECT`, `WOULD-BAN` | notice | it would have, but the gate only observes |
//! | `CLEAR` | notice | a source is clean again |
//! | `STANDINGS-MORE` | warning | changes of standing that were not written one by one |
//! | `START`, `STOP`, `RELOAD` | notice, or worse | the gate's own life |
//! | `ALARM` | warning or error | something needs a look |
//! | `NOTE` | info or notice | good to know |
//!
//! | name | in | meaning |
//! |---|---|---|
//! | `IN` | refusals | interface the packet came in on; empty if unknown |
//! | `SRC` | all but notices | source address; of standings and summaries the source as it is counted: an IPv4 address or an IPv6 /64 |
//! | `DST`, `PROTO`, `SPT`, `DPT` | refusals | destination, `TCP`, source and destination port (before any DNAT) |
//! | `DPT` | standings | the only port at which the source is banned; absent if it is banned at all |
//! | `reason` | refusals, standings | the check that refused; of a standing also `expired` or an admin's words |
//! | `what` | refusals, notices | what exactly: `login`, `SYN+FIN`, the name of a list; of an alarm its kind |
//! | `seen`, `limit` | refusals | the measured value and the one that would have passed; absent where nothing is measured |
//! | `standing` | refusals | what the source is now, unless clean |
//! | `again=yes` | refusals | the same attempt was seen before (a retransmission) |
//! | `proven=yes` | refusals | the source has completed real connections |
//! | `enforced=no` | refusals, standings | the gate only observes |
//! | `offence`, `for` | standings | which offence of this source it is; how long the standing lasts |
//! | `count`, `within`, `by` | summaries | how many, in what time, and how many by which check |
//! | `sources` | summaries | about how many sources |
//! | `banned`, `suspect`, `clean` | summaries | changes to each standing |
//! | `level` | notices | only if a start, stop or reload went wrong |
//! | `text` | notices, summaries | in a sentence |
//! | `id` | all | the event's short name, the same in every output |
//!
//! The journal gets the line as `MESSAGE` and each field of it as a field of its own: `SRC` is
//! `PORTCULLIS_SRC`, `reason` is `PORTCULLIS_REASON`, and the verb is `PORTCULLIS_EVENT`. Values are
//! there as they are, without quotes and escapes: `journalctl PORTCULLIS_EVENT=BAN`.
//!
//! JSON objects have the same names in lower case, and besides `time` (RFC 3339), `event` (the
//! verb in lower case), `level`, and of refusals `flags`, `seq`, `window`, `ttl`, `length` and
//! `ip_id`. Spans are seconds there.

mod alarms;
mod busiest;
mod counters;
mod distinct;
mod event;
mod id;
mod interfaces;
mod json;
mod line;
mod quantity;
mod rates;
mod record;
#[cfg(test)]
pub(crate) mod sample;
mod sink;
mod summary;
mod throttle;
mod verb;
mod worker;

pub use alarms::{Alarm, Alarms};
pub use busiest::{Busiest, Busy, Report as BusiestReport};
pub use counters::{Block, Count, Counters, Snapshot};
pub use event::{Event, Judged, Level, Notice, StandingChange};
pub(crate) use interfaces::Interfaces;
pub use json::json_line;
pub use line::{Line, Measured};
pub use quantity::{Grouped, NotASpan, Span, ports};
pub use rates::{PerSecond, Rates};
pub use record::{Field, Record, Value};
#[cfg(test)]
pub(crate) use sink::{Form, stderr_line};
pub use summary::{StandingSummary, Summary};
pub use throttle::Throttle;
pub use verb::Verb;
pub use worker::{Events, Teller};

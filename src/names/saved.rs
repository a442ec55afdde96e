//! The last good answers as bytes, so that a start before the network is up locks nobody out.
//!
//! JSON, because an admin may want to look at it; times are seconds since 1970.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::answer::{Answer, Checked, Family};
use super::book::{Book, Entry, Half};

/// The file of the state folder that has them.
pub const FILE: &str = "names.json";
/// To be raised with every change of the format.
const VERSION: u32 = 1;

/// The bytes are not what was kept.
#[derive(Debug, Error)]
pub enum Damaged {
    /// Cut short, changed, or something else altogether.
    #[error("it makes no sense: {0}")]
    Nonsense(serde_json::Error),
    /// Whole, and of another program version.
    #[error("it is of version {0}, and this program reads version {VERSION}")]
    Version(u32),
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    names: BTreeMap<String, Kept>,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    v4: Answers,
    v6: Answers,
    gone_since: Option<u64>,
    /// As [`Entry::unwanted`]; earlier versions had no such thing.
    #[serde(default)]
    unwanted: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
struct Answers {
    addresses: Vec<IpAddr>,
    confirmed: Option<u64>,
}

impl Book {
    /// What is to be kept.
    pub fn save(&self) -> Vec<u8> {
        let answers = |half: &Half| Answers {
            addresses: half.addresses.clone(),
            confirmed: half.confirmed.map(seconds),
        };
        let kept = |(name, entry): (&String, &Entry)| {
            let [v4, v6] = &entry.halves;
            let gone_since = entry.gone_since.map(seconds);
            let unwanted = entry.unwanted.map(seconds);
            (name.clone(), Kept { v4: answers(v4), v6: answers(v6), gone_since, unwanted })
        };
        let names = self.entries.iter().map(kept).collect();
        // Names, numbers and addresses can always be written.
        serde_json::to_vec_pretty(&File { version: VERSION, names }).unwrap_or_default()
    }

    /// Takes the answers of an earlier run. Names that are not wanted are remembered as such, at most
    /// since `now`. What would not be believed from a resolver is not believed from a file.
    ///
    /// # Errors
    /// If it is not what was kept; the book is as it was then.
    pub fn restore(&mut self, bytes: &[u8], now: SystemTime) -> Result<(), Damaged> {
        let file: File = serde_json::from_slice(bytes).map_err(Damaged::Nonsense)?;
        if file.version != VERSION {
            return Err(Damaged::Version(file.version));
        }
        for (name, Kept { v4, v6, gone_since, unwanted }) in file.names {
            let unwanted = unwanted.map_or(now, |since| time(since).min(now));
            let entry = self.entries.entry(name).or_insert_with(|| Entry::left_out(unwanted));
            entry.gone_since = gone_since.map(time);
            for ((half, answers), family) in entry.halves.iter_mut().zip([v4, v6]).zip(Family::ALL)
            {
                let (Checked::Good(addresses), Some(confirmed)) =
                    (Answer::Addresses(answers.addresses).check(family), answers.confirmed)
                else {
                    continue;
                };
                (half.addresses, half.confirmed) = (addresses, Some(time(confirmed)));
            }
        }
        self.forget(now);
        Ok(())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Times that no calendar knows are the distant past.
fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["a.example", "b.example"];
    const EVERY: Duration = Duration::from_secs(300);

    fn book() -> Book {
        let mut book = Book::new(EVERY);
        book.follow(&NAMES, EVERY, UNIX_EPOCH);
        book
    }

    #[test]
    fn kept_and_found_again() {
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let mut first = book();
        let answer = |text: &str| Answer::Addresses(vec![text.parse().unwrap()]);
        first.answer("a.example", Family::V4, answer("203.0.113.9"), at(1000));
        first.answer("a.example", Family::V6, answer("2001:db8::9"), at(1001));
        let mut second = book();
        second.restore(&first.save(), at(1002)).unwrap();
        assert_eq!(second.addresses("a.example"), first.addresses("a.example"));
        assert_eq!(second.addresses("a.example").len(), 2);
        assert_eq!(second.rows()[0].confirmed, Some(at(1000)));
        assert!(second.addresses("b.example").is_empty());
        // A name that the policy does not have is remembered for a day, over restarts too.
        let mut other = Book::new(EVERY);
        other.follow(&["b.example"], EVERY, at(1002));
        other.restore(&first.save(), at(1002)).unwrap();
        assert_eq!(other.rows().len(), 1);
        let day = 24 * 3600;
        for (restarted, known) in [(1003, 2), (1001 + day, 2), (1002 + day, 0)] {
            let mut third = Book::new(EVERY);
            third.follow(&["b.example"], EVERY, at(restarted));
            third.restore(&other.save(), at(restarted)).unwrap();
            assert_eq!(third.addresses("a.example").len(), known, "{restarted}");
        }
    }

    #[test]
    fn damaged_files_are_refused_and_impossible_answers_too() {
        let mut book = book();
        let whole = book.save();
        for cut in 0..whole.len() {
            assert!(book.restore(&whole[..cut], UNIX_EPOCH).is_err(), "{cut}");
        }
        let later = br#"{"version":2,"names":{}}"#;
        assert!(matches!(book.restore(later, UNIX_EPOCH), Err(Damaged::Version(2))));
        let entry = |addresses: &str, confirmed: &str| {
            let half = |list: &str| format!(r#"{{"addresses":[{list}],"confirmed":{confirmed}}}"#);
            format!(
                r#"{{"version":1,"names":{{"a.example":{{"v4":{},"v6":{},"gone_since":null}}}}}}"#,
                half(addresses),
                half("")
            )
        };
        for (addresses, confirmed) in
            [("\"127.0.0.1\"", "5"), ("\"203.0.113.9\"", "null"), ("\"2001:db8::1\"", "5")]
        {
            book.restore(entry(addresses, confirmed).as_bytes(), UNIX_EPOCH).unwrap();
            assert!(book.addresses("a.example").is_empty(), "{addresses} {confirmed}");
        }
        let far = u64::MAX.to_string();
        book.restore(entry("\"203.0.113.9\"", &far).as_bytes(), UNIX_EPOCH).unwrap();
        assert_eq!(book.rows()[0].confirmed, Some(UNIX_EPOCH));
    }
}

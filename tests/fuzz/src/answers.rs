//! The last good answers for the allow list's names, as they are kept on disk (`names::Book`).

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::names::{Answer, Book, Family, GONE_FOR, MOST_ADDRESSES, STALE_FOR};

const EVERY: Duration = Duration::from_secs(300);
const NAMES: [&str; 2] = ["a.example", "b.example"];

/// Nothing is trusted that no visitor can have as an address, and what is kept comes back.
pub fn check(bytes: &[u8]) {
    let mut now = begun();
    let mut book = book();
    let before = book.rows();
    if book.restore(bytes, now).is_err() {
        assert_eq!(book.rows(), before, "refused, and yet something of it was taken");
        return;
    }
    for name in NAMES {
        let addresses = book.addresses(name);
        assert!(addresses.len() <= 2 * MOST_ADDRESSES);
        addresses.iter().for_each(|address| assert!(is_a_visitors(*address), "{address}"));
    }
    let kept = book.save();
    let mut again = self::book();
    again.restore(&kept, now).unwrap_or_else(|error| panic!("what was kept is refused: {error}"));
    assert_eq!(again.rows(), book.rows());
    assert_eq!(again.save(), kept);

    // Days go by, and the resolver says little.
    for pause in [Duration::ZERO, EVERY, GONE_FOR, STALE_FOR] {
        now += pause;
        for (name, family) in book.due(now) {
            let answer = match family {
                Family::V4 => Answer::Nothing,
                Family::V6 => Answer::Failed("the network is down".into()),
            };
            book.answer(&name, family, answer, now);
        }
        book.expire(now);
    }
    assert!(book.due(SystemTime::UNIX_EPOCH).len() <= 4, "each question once");
}

/// Some day in 2027.
fn begun() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn book() -> Book {
    let mut book = Book::new(EVERY);
    book.follow(&NAMES, EVERY, begun());
    book
}

fn is_a_visitors(address: IpAddr) -> bool {
    let never = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    !never && address.to_canonical() == address
}

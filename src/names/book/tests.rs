//! What becomes of answers, as tables of days and answers.

use std::time::UNIX_EPOCH;

use super::*;

const NAME: &str = "office.example.org";
const EVERY: Duration = Duration::from_secs(300);
const DAY: u64 = 24 * 3600;

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000 + second)
}

fn book() -> Book {
    let mut book = Book::new(EVERY);
    book.follow(&[NAME], EVERY, at(0));
    book
}

/// Words for answers: addresses, `none`, `fails`.
fn answer(text: &str) -> Answer {
    match text {
        "none" => Answer::Nothing,
        "fails" => Answer::Failed("Temporary failure in name resolution".into()),
        list => Answer::Addresses(list.split(' ').map(|text| text.parse().unwrap()).collect()),
    }
}

/// One round of questions; what it tells.
fn round(book: &mut Book, second: u64, v4: &str, v6: &str) -> Vec<String> {
    let due = book.due(at(second));
    assert_eq!(due.len(), 2, "{second}: it is time to ask");
    assert!(book.due(at(second)).is_empty(), "not twice");
    let mut news = book.expire(at(second));
    let was = book.addresses(NAME);
    let (first, early) = book.answer(NAME, Family::V4, answer(v4), at(second));
    assert_eq!(
        (first, early.len()),
        (book.addresses(NAME) != was, 0),
        "told at the end of a round"
    );
    let was = book.addresses(NAME);
    let (changed, told) = book.answer(NAME, Family::V6, answer(v6), at(second));
    assert_eq!(changed, book.addresses(NAME) != was);
    news.extend(told);
    news.iter().map(ToString::to_string).collect()
}

fn addresses(book: &Book) -> String {
    book.addresses(NAME).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn answers_change() {
    let mut book = book();
    assert_eq!(book.rows()[0].state, State::Unknown);
    let told = round(&mut book, 0, "203.0.113.9", "none");
    assert_eq!(told, ["office.example.org is 203.0.113.9 and trusted from now on"]);
    assert_eq!(book.rows()[0].state, State::Good);
    assert!(book.due(at(299)).is_empty());
    assert!(round(&mut book, 300, "203.0.113.9", "none").is_empty());
    assert_eq!(book.rows()[0].confirmed, Some(at(300)));
    let told = round(&mut book, 600, "203.0.113.20 203.0.113.9", "2001:db8::9");
    assert_eq!(
        told,
        ["office.example.org is now 203.0.113.9, 203.0.113.20, 2001:db8::9; was 203.0.113.9"]
    );
    // One family goes: at once, because the name is there.
    round(&mut book, 900, "none", "2001:db8::9");
    assert_eq!(addresses(&book), "2001:db8::9");
    // A clock that is set back makes it ask, and no more.
    assert_eq!(book.due(at(0)).len(), 2);
}

#[test]
fn a_resolver_that_fails_changes_nothing() {
    let mut book = book();
    round(&mut book, 0, "203.0.113.9", "2001:db8::9");
    assert!(round(&mut book, 300, "fails", "fails").is_empty());
    // It is tried again soon, then more slowly.
    assert!(book.due(at(301)).is_empty());
    assert!(round(&mut book, 302, "fails", "fails").is_empty());
    assert!(book.due(at(305)).is_empty());
    let told = round(&mut book, 306, "fails", "fails");
    assert_eq!(
        told,
        ["office.example.org cannot be looked up: Temporary failure in name resolution; its last \
          answer, 203.0.113.9, 2001:db8::9, stays trusted"]
    );
    assert_eq!(book.rows()[0].state, State::Failing);
    assert_eq!(book.rows()[0].confirmed, Some(at(0)));
    assert!(round(&mut book, 314, "fails", "fails").is_empty(), "told once");
    // One half that fails keeps its addresses too, and is trouble.
    assert!(round(&mut book, 330, "203.0.113.9", "fails").is_empty());
    assert_eq!(addresses(&book), "203.0.113.9 2001:db8::9");
    assert_eq!(
        round(&mut book, 700, "203.0.113.9", "2001:db8::9"),
        ["office.example.org can be looked up again"]
    );
    // No longer than a month.
    let month = 700 + 30 * DAY;
    assert!(round(&mut book, month - 1, "fails", "fails").is_empty());
    assert_eq!(
        round(&mut book, month + 1, "fails", "fails"),
        [
            "office.example.org is no longer trusted, because it could not be looked up for 30 days; \
          was 203.0.113.9, 2001:db8::9"
        ]
    );
    assert_eq!(addresses(&book), "");
}

#[test]
fn a_failing_family_that_nobody_has_is_no_trouble() {
    let mut book = book();
    for n in 0..5 {
        let told = round(&mut book, n * 300, "203.0.113.9", "fails");
        assert_eq!(told.len(), usize::from(n == 0), "{told:?}");
    }
    assert_eq!(book.rows()[0].state, State::Good);
}

#[test]
fn a_name_that_vanishes_is_kept_for_a_day() {
    let mut book = book();
    round(&mut book, 0, "203.0.113.9", "2001:db8::9");
    assert_eq!(
        round(&mut book, 300, "none", "none"),
        [
            "there is no such name as office.example.org; its last answer, 203.0.113.9, 2001:db8::9, \
          stays trusted for a day"
        ]
    );
    assert_eq!(book.rows()[0].state, State::Gone);
    // A failure in between does not begin the day anew, nor does another run.
    assert!(round(&mut book, 600, "fails", "none").is_empty());
    let mut next = Book::new(EVERY);
    next.follow(&[NAME], EVERY, at(301));
    next.restore(&book.save(), at(301)).unwrap();
    for book in [&mut book, &mut next] {
        round(book, 10_000, "none", "none");
        assert!(book.expire(at(300 + DAY - 1)).is_empty());
        let told = book.expire(at(300 + DAY));
        assert_eq!(
            told[0].to_string(),
            "office.example.org is no longer trusted, because there has been no such name for a \
             day; was 203.0.113.9, 2001:db8::9"
        );
        assert!(book.addresses(NAME).is_empty() && book.expire(at(300 + 2 * DAY)).is_empty());
    }
    let told = round(&mut book, 300 + 2 * DAY, "203.0.113.9", "none");
    assert_eq!(
        told,
        [
            "office.example.org is 203.0.113.9 and trusted from now on",
            "office.example.org can be looked up again",
        ]
    );
}

#[test]
fn a_name_that_comes_back_within_the_day_was_never_away() {
    let mut book = book();
    round(&mut book, 0, "203.0.113.9", "none");
    round(&mut book, 300, "none", "none");
    assert_eq!(
        round(&mut book, 600, "203.0.113.9", "none"),
        ["office.example.org can be looked up again"]
    );
    assert!(round(&mut book, 900, "none", "none").len() == 1, "told again");
    assert!(book.expire(at(600 + DAY)).is_empty(), "the day began anew");
    assert_eq!(addresses(&book), "203.0.113.9");
}

#[test]
fn what_cannot_be_believed_is_told_at_once() {
    let mut book = book();
    round(&mut book, 0, "203.0.113.9", "none");
    assert_eq!(
        round(&mut book, 300, "0.0.0.0", "::"),
        ["the answer for office.example.org is not believed: ::, which no visitor has; its last \
          answer, 203.0.113.9, stays trusted"]
    );
    assert_eq!(addresses(&book), "203.0.113.9");
    assert_eq!(book.rows()[0].state, State::Failing);
}

#[test]
fn a_name_that_never_was() {
    let mut book = book();
    assert_eq!(
        round(&mut book, 0, "none", "none"),
        [
            "there is no such name as office.example.org; nobody is trusted for it until there is an \
          answer"
        ]
    );
    assert!(book.due(at(299)).is_empty(), "asked as often as others");
    assert!(round(&mut book, 300, "none", "none").is_empty());
}

#[test]
fn names_come_and_go_with_the_policy() {
    let mut book = book();
    let asked = book.due(at(0));
    book.follow(&["b.example"], EVERY, at(1));
    let late = book.answer(NAME, Family::V4, answer("203.0.113.9"), at(1));
    assert!(late == (false, vec![]) && book.addresses(NAME).is_empty(), "{asked:?}");
    assert_eq!(book.due(at(1))[0].0, "b.example");
    book.follow(&[NAME, "b.example"], Duration::from_secs(1), at(1));
    assert_eq!(book.due(at(1)).len(), 2, "the new one, and not the one that is being asked");
}

#[test]
fn a_name_that_is_left_out_for_a_moment_is_remembered() {
    let mut book = book();
    round(&mut book, 0, "203.0.113.9", "none");
    // Taken out with a question on its way, which is then answered for nobody.
    assert_eq!(book.due(at(300)).len(), 2);
    book.follow(&[], EVERY, at(301));
    assert!(book.rows().is_empty() && book.due(at(601)).is_empty());
    for family in Family::ALL {
        assert_eq!(book.answer(NAME, family, answer("203.0.113.66"), at(302)), (false, vec![]));
    }
    // It comes back when no resolver answers, and is asked for at once.
    book.follow(&[], EVERY, at(DAY));
    book.follow(&[NAME], EVERY, at(DAY));
    assert_eq!(addresses(&book), "203.0.113.9");
    assert_eq!(book.rows()[0].state, State::Good);
    round(&mut book, DAY, "fails", "fails");
    assert_eq!(addresses(&book), "203.0.113.9");
    // After a day it is somebody else's.
    book.follow(&[], EVERY, at(2 * DAY));
    book.follow(&[], EVERY, at(3 * DAY - 1));
    assert_eq!(addresses(&book), "203.0.113.9");
    book.follow(&[], EVERY, at(3 * DAY));
    assert_eq!(addresses(&book), "");
    // What it was good for ends in silence, and so does what is too much.
    round_of_many(&mut book);
}

/// More names than are remembered come and go.
fn round_of_many(book: &mut Book) {
    let names: Vec<String> = (0..MOST_UNWANTED + 3).map(|n| format!("n{n:03}.example")).collect();
    for (second, name) in (0..).zip(&names) {
        book.follow(&[name.as_str()], EVERY, at(second));
        book.answer(name, Family::V4, answer("203.0.113.9"), at(second));
    }
    book.follow(&[], EVERY, at(names.len() as u64));
    let known = names.iter().filter(|name| !book.addresses(name).is_empty());
    assert!(known.eq(&names[3..]), "the oldest are forgotten");
}

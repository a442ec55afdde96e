//! `portcullis check --resolve`: who are the allow list's names now?

use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

use crate::cli::layout::wrap;
use crate::config::Config;
use crate::names::{Answer, Answered, Book, Family, Lookups, What};

/// How often it is looked whether an answer is overdue.
const STEP: Duration = Duration::from_millis(100);

/// Looks these names up. Answers what each stands for, and what went wrong, as it came.
pub(super) fn ask(
    names: &[&'static str],
    every: Duration,
    look_up: impl Fn(&str, Family) -> Answer + Send + Sync + 'static,
) -> (Book, Vec<(String, String)>) {
    let mut book = Book::new(every);
    let (begun, clock) = (Instant::now(), SystemTime::now());
    book.follow(names, every, clock);
    let mut lookups = Lookups::new(look_up);
    let (sender, answers) = channel::<Answered>();
    for (name, family) in book.due(clock) {
        lookups.put(name, family, begun);
    }
    let mut wrong: Vec<(String, String)> = Vec::new();
    while !lookups.is_idle() {
        let mut answered = lookups.tend(&sender, Instant::now());
        if let Ok(one) = answers.recv_timeout(STEP) {
            answered.extend(lookups.answered(one));
        }
        for (name, family, answer) in answered {
            if let Answer::Failed(why) = &answer {
                wrong.push((name.clone(), why.clone()));
            }
            for news in book.answer(&name, family, answer, clock).1 {
                if let What::Troubled { trouble, .. } = news.what {
                    wrong.push((name.clone(), trouble.to_string()));
                }
            }
        }
    }
    (book, wrong)
}

/// The names with what they stand for, as lines; and whether each of them stands for something.
pub(super) fn resolve(config: &Config) -> (String, bool) {
    names(config, crate::names::look_up)
}

fn names(
    config: &Config,
    look_up: impl Fn(&str, Family) -> Answer + Send + Sync + 'static,
) -> (String, bool) {
    let names = &config.policy.allowlist.names;
    let (book, wrong) = ask(names, config.names.every, look_up);
    let width = names.iter().map(|name| name.len()).max().unwrap_or_default().min(40);
    let mut text = String::new();
    let mut all = true;
    for name in names {
        let addresses: Vec<String> = book.addresses(name).iter().map(ToString::to_string).collect();
        let value = if addresses.is_empty() {
            all = false;
            let why = wrong.iter().rev().find(|(of, _)| of == name);
            format!("PROBLEM: {}", why.map_or("no answer", |(_, why)| why))
        } else {
            addresses.join(", ")
        };
        text += &wrap(&format!("  {name:<width$}  "), &value);
    }
    (text, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn each_name_with_what_it_stands_for() {
        let policy =
            "[allowlist]\nfrom = [\"a.example\", \"none.example\", \"lies.example\", \"10.0.0.1\"]";
        let config = parse(policy, "f").unwrap().config;
        let ask = |name: &str, family| match (name, family) {
            ("a.example", Family::V4) => Answer::Addresses(vec!["203.0.113.9".parse().unwrap()]),
            ("a.example", Family::V6) => Answer::Failed("no AAAA".into()),
            ("lies.example", Family::V4) => Answer::Addresses(vec!["127.0.0.1".parse().unwrap()]),
            _ => Answer::Nothing,
        };
        let (text, all) = names(&config, ask);
        assert_eq!(
            text,
            "  a.example     203.0.113.9\n  none.example  PROBLEM: there is no such name\n  \
             lies.example  PROBLEM: the answer is not believed: 127.0.0.1, which no visitor\n                \
             has\n"
        );
        assert!(!all);
        let only = parse("[allowlist]\nfrom = \"a.example\"", "f").unwrap().config;
        assert!(names(&only, ask).1);
    }
}

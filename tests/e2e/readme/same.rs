//! Is what a page shows what a program printed?
//!
//! Word for word, but for what is different each time: times of day, spans, source ports, process
//! and event numbers, decimals. A line `…` on the page stands for any lines, and `…` at the end of a
//! line for its rest. Columns may be of other widths, and words wrapped elsewhere is a difference.

/// What is different, for people; `None` if nothing is.
pub(super) fn difference(shown: &[String], printed: &str) -> Option<String> {
    let printed: Vec<Vec<String>> = printed.trim_end().lines().map(words).collect();
    let shown: Vec<Vec<String>> = trimmed(shown).iter().map(|line| words(line)).collect();
    (!same(&shown, &printed)).then(|| {
        let text = |lines: &[Vec<String>]| {
            lines.iter().map(|line| format!("    {}\n", line.join(" "))).collect::<String>()
        };
        format!("  the page shows\n{}  the program prints\n{}", text(&shown), text(&printed))
    })
}

fn trimmed(lines: &[String]) -> &[String] {
    let end = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    &lines[..end]
}

fn same(shown: &[Vec<String>], printed: &[Vec<String>]) -> bool {
    match shown {
        [] => printed.is_empty(),
        [any, rest @ ..] if any.len() == 1 && any[0] == "…" => {
            (0..=printed.len()).any(|skipped| same(rest, &printed[skipped..]))
        }
        [line, rest @ ..] => match printed {
            [first, others @ ..] => alike(line, first) && same(rest, others),
            [] => false,
        },
    }
}

fn alike(shown: &[String], printed: &[String]) -> bool {
    let Some((last, first)) = shown.split_last() else { return printed.is_empty() };
    if let Some(begun) = last.strip_suffix('…') {
        return printed.len() > first.len()
            && printed[..first.len()] == *first
            && printed[first.len()].starts_with(begun)
            || begun.is_empty() && printed == first;
    }
    shown == printed
}

/// The words of a line; what is different each time is written as what it is.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let word = plain(word);
        // `1h 59m` and `59m` are spans alike.
        if word != "<span>" || words.last().is_none_or(|last| last != "<span>") {
            words.push(word);
        }
    }
    words
}

fn plain(word: &str) -> String {
    let body = word.trim_end_matches([',', ';', '.', ':', ')']);
    let tail = &word[body.len()..];
    let shape: String = body.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    let kind = match shape.as_str() {
        "9999-99-99" => "<date>",
        "99:99:99" | "99:99" => "<time>",
        _ if is_span(body) => "<span>",
        _ if is_decimal(body) => "<decimal>",
        _ => match body.split_once('=') {
            Some((key @ ("SPT" | "id"), _)) => return format!("{key}=<number>{tail}"),
            _ => return word.to_owned(),
        },
    };
    format!("{kind}{tail}")
}

/// `10m`, `250ms`, `1.5s`.
fn is_span(word: &str) -> bool {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    unit.len() < word.len() && ["d", "h", "m", "s", "ms", "us", "ns"].contains(&unit)
}

fn is_decimal(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    word.split_once('.').is_some_and(|(whole, part)| digits(whole) && digits(part))
}

#[test]
fn what_differs_each_time_does_not_count() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (page, printed, is_same) in [
        ("up 3m 4s, since 2026-01-02 10:00:00", "up  59s, since 2027-11-12 23:59:01\n", true),
        ("DROP SRC=192.0.2.7 SPT=1 id=a", "DROP SRC=192.0.2.7 SPT=65000 id=zz", true),
        ("DROP SRC=192.0.2.7 SPT=1 id=a", "DROP SRC=192.0.2.8 SPT=1 id=a", false),
        ("5 targets", "6 targets", false),
        ("one\n…\nlast\n\n", "one\ntwo\nthree\nlast\n", true),
        ("one\n…\nlast", "one\nlast", true),
        ("one\n…\nlast", "one\ntwo", false),
        ("it is scan (differ…", "it is scan (different targets)", true),
        ("it is scan …", "it is scan (different targets)", true),
        ("it is scan …", "it is rate (different targets)", false),
        ("one", "one\ntwo", false),
        ("", "", true),
        ("1.62 of 4", "0.07 of 4", true),
        ("192.0.2.1", "192.0.2.2", false),
    ] {
        let found = difference(&shown(page), printed);
        assert_eq!(found.is_none(), is_same, "{page:?} {printed:?} {found:?}");
    }
}

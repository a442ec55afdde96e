//! What the product writes is read again.

use std::io::{Cursor, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::{Compression, write::GzEncoder};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::config::SyslogFormat;
use crate::events::sample;
use crate::events::{
    Event, Form, Judged, Level, Notice, Record, StandingChange, StandingSummary, Summary,
    json_line, stderr_line,
};
use crate::memory::SourceKey;
use crate::policy::{CHECKS, CheckId, Evidence, Standing};

/// 2026-09-21T14:13:20Z.
const START: u64 = 1_790_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(START + seconds)
}

fn zone() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(2))
}

fn clock() -> Clock {
    Clock::new(zone(), "2026-09-22T00:00:00Z".parse().unwrap())
}

/// All that the product can write, in the forms in which logs are kept.
fn forms(record: &Record) -> Vec<String> {
    let form = |format, host| Form::new(format, host, 812, zone()).text(4, record);
    let line = crate::events::Line(record);
    let json = String::from_utf8(json_line(record)).unwrap().trim_end().to_owned();
    let message = serde_json::to_string(&line.to_string()).unwrap();
    let time = jiff::Timestamp::try_from(record.at).unwrap();
    let micros = time.as_microsecond();
    let local = time.to_zoned_datetime(zone());
    vec![
        form(SyslogFormat::Rfc3164, None),
        form(SyslogFormat::Rfc3164, Some("gate")),
        // As rsyslog keeps them: without the priority.
        form(SyslogFormat::Rfc3164, Some("gate")).split_once('>').unwrap().1.to_owned(),
        format!("{} gate portcullis[812]: {line}", local.strftime("%FT%T%.6f%:z")),
        format!("{} gate portcullis[812]: {line}", local.strftime("%FT%T%z")),
        // As rsyslog keeps what came as RFC 5424.
        format!("{} gate portcullis[812] {line}", local.strftime("%FT%T%.6f%:z")),
        form(SyslogFormat::Rfc5424, Some("gate")),
        stderr_line(record, false, &zone()).trim_end().to_owned(),
        json,
        format!(
            "{{\"SYSLOG_IDENTIFIER\":\"portcullis\",\"__REALTIME_TIMESTAMP\":\"{micros}\",\
             \"MESSAGE\":{message}}}"
        ),
    ]
}

fn records() -> Vec<Record> {
    let mut judged = sample::judged("203.0.113.7");
    judged.at = at(0);
    let mut observed = Judged { enforced: false, at: at(1), ..judged };
    observed.syn.src = "2001:db8::7".parse().unwrap();
    observed.decision.evidence = Evidence { what: "my \"own\" list\n", ..Evidence::default() };
    let change = |standing, seconds, reason: &str| {
        Event::Standing(StandingChange {
            at: at(seconds),
            source: SourceKey::of("2001:db8::7".parse().unwrap()),
            standing,
            port: (standing == Standing::Banned).then_some(22),
            lasts: (standing != Standing::Clean).then_some(Duration::from_secs(600)),
            reason: reason.into(),
            offence: 2,
            enforced: true,
        })
    };
    let notice = |level, what, text: &str| {
        Event::Notice(Notice { at: at(9), level, what, text: text.into() })
    };
    let events = [
        Event::Judged(judged),
        Event::Judged(observed),
        change(Standing::Suspect, 2, "scan"),
        change(Standing::Banned, 3, "he said \"so\"\nBAN SRC=192.0.2.1"),
        change(Standing::Clean, 4, "expired"),
        notice(Level::Notice, "start", "version 0.1.0"),
        notice(Level::Error, "reload", "no\u{202e}"),
        notice(Level::Warning, "flushed", "gone, it's"),
    ];
    let by = vec![(sample::check("scan"), 1200), (sample::check("rate"), 4)];
    let within = Duration::from_secs(10);
    let summaries = [
        Summary::Source {
            source: SourceKey::of("203.0.113.7".parse().unwrap()),
            more: 1204,
            within,
            by: by.clone(),
            enforced: true,
        },
        Summary::Flood { sources: 99, more: 1204, within, by, enforced: false },
        Summary::Standings(StandingSummary { sources: 5, clean: 1, suspect: 3, banned: 2, within }),
    ];
    let summed = summaries.iter().zip(10..).map(|(summary, s)| summary.record(at(s)));
    events.iter().map(|event| Record::of(event, "eth0")).chain(summed).collect()
}

fn tally(lines: &[String]) -> Tally {
    let mut tally = Tally::new(Wanted::default());
    let text = lines.join("\n");
    read(Cursor::new(text), &mut clock(), |_, told| tally.take(told)).unwrap();
    tally
}

#[test]
fn every_form_says_the_same() {
    let records = records();
    let count = forms(&records[0]).len();
    for form in 0..count {
        let lines: Vec<String> = records.iter().map(|record| forms(record).remove(form)).collect();
        let tally = tally(&lines);
        let expected = Lines { read: 11, counted: 11, ..Lines::default() };
        assert_eq!(tally.lines(), expected, "{lines:#?}");
        let review = tally.review(10, Step::Auto, 60, &zone());
        assert_eq!((review.blocked, review.observed), (2 + 2 * 1204, 1 + 1204), "{}", lines[0]);
        // The JSON log has single changes besides their sum.
        let json = lines[0].starts_with("{\"time\"");
        let summed = if json { (1, 1, 1) } else { (1 + 2, 1 + 3, 1 + 1) };
        let Standings { banned, suspect, cleared } = review.standings;
        assert_eq!((banned, suspect, cleared), summed, "{}", lines[0]);
        let reasons: Vec<_> =
            review.reasons.iter().map(|row| (row.reason.as_str(), row.blocked)).collect();
        assert_eq!(reasons, [("scan", 2400), ("rate", 10)]);
        assert_eq!(review.reasons[1].saw[1].0, "my \"own\" list?");
        let sources: Vec<_> = review
            .sources
            .iter()
            .map(|row| (row.source.to_string(), row.blocked, row.standing, row.bans))
            .collect();
        assert_eq!(
            sources,
            [
                ("203.0.113.7/32".to_owned(), 1205, "clean", 0),
                ("2001:db8::/64".to_owned(), 1, "banned", 1)
            ]
        );
        assert_eq!(review.ports, [PortRow { port: 23, blocked: 2 }]);
        assert_eq!(review.untold, Untold { of_many: 1204, sources: 0, ports: 2408 });
        assert_eq!(review.from.unwrap().as_second() as u64, START);
        assert_eq!((review.starts, review.reloads, review.alarm_count), (1, 1, 1));
        assert_eq!(review.alarms[0].text, "gone, it's");
        assert_eq!(review.timeline.iter().map(|bar| bar.blocked).sum::<u64>(), review.blocked);
    }
}

#[test]
fn an_event_in_two_logs_counts_once() {
    let lines: Vec<String> = records().iter().flat_map(forms).collect();
    let tally = tally(&lines);
    assert_eq!((tally.lines().counted, tally.lines().repeated), (11, 11 * 9));
}

/// The journal's export form, with a value that is no plain text.
#[test]
fn exported_entries() {
    let mut text = Vec::new();
    for record in records() {
        let line = crate::events::Line(&record).to_string();
        let micros = jiff::Timestamp::try_from(record.at).unwrap().as_microsecond();
        write!(text, "__CURSOR=s=1\n__REALTIME_TIMESTAMP={micros}\nBLOB\n").unwrap();
        text.extend_from_slice(&5_u64.to_le_bytes());
        text.extend_from_slice(b"\n\nA=b\nSYSLOG_IDENTIFIER=portcullis\n");
        if record.verb == crate::events::Verb::Ban {
            text.extend_from_slice(b"MESSAGE\n");
            text.extend_from_slice(&(line.len() as u64).to_le_bytes());
            write!(text, "{line}\n\n").unwrap();
        } else {
            write!(text, "MESSAGE={line}\n\n").unwrap();
        }
    }
    let lines = |bytes: &[u8]| {
        let mut tally = Tally::new(Wanted::default());
        read(bytes, &mut clock(), |_, told| tally.take(told)).unwrap();
        tally.lines()
    };
    assert_eq!(lines(&text), Lines { read: 11, counted: 11, ..Lines::default() });
    for end in 0..text.len() {
        assert!(lines(&text[..end]).read <= 11);
    }
}

/// However many values a field has, and however long the entry: the first one counts, and no more
/// than that is kept.
#[test]
fn fields_with_many_values() {
    let first = crate::events::Line(&records()[0]).to_string();
    let mut text =
        format!("__REALTIME_TIMESTAMP=1\nSYSLOG_IDENTIFIER=portcullis\nMESSAGE={first}\n");
    text.push_str(&"SYSLOG_IDENTIFIER=x\nMESSAGE=DROP SRC=192.0.2.1 id=zzzzzzzzzz\n".repeat(1000));
    let mut told = Vec::new();
    read(text.as_bytes(), &mut clock(), |line, one| told.push((line, format!("{one:?}")))).unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].1.starts_with("Event(") && told[0].1.contains("203.0.113.7"), "{told:?}");
}

/// A line that was cut off is never taken for another event.
#[test]
fn torn_lines() {
    for record in records() {
        for form in forms(&record) {
            for end in (0..form.len()).filter(|end| form.is_char_boundary(*end)) {
                let told = line(&form[..end], &mut clock());
                assert!(!matches!(told, Told::Event(_)), "{}", &form[..end]);
            }
            assert!(matches!(line(&form, &mut clock()), Told::Event(_)), "{form}");
        }
    }
}

#[test]
fn packed_and_unreadable() {
    let text: String = records().iter().map(|record| forms(record).remove(5) + "\n").collect();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.write_all(&[b'x'; 200_000]).unwrap();
    packed.write_all(b"\nSep 21 14:13:20 gate sshd[1]: \xff\xfe\n\0\0\n").unwrap();
    let packed = packed.finish().unwrap();
    let Ok(input) = Input::of(Cursor::new(packed), SystemTime::UNIX_EPOCH) else {
        panic!("it can be opened")
    };
    let mut tally = Tally::new(Wanted::default());
    read(input.into_reader(), &mut clock(), |_, told| tally.take(told)).unwrap();
    let expected = Lines { read: 14, counted: 11, damaged: 1, foreign: 2, ..Lines::default() };
    assert_eq!(tally.lines(), expected);
}

/// What comes beyond a bound is counted all the same.
#[test]
fn more_sources_than_there_is_room_for() {
    let mut tally = Tally::bounded(Wanted::default(), 10);
    for n in 0..50_u8 {
        let mut judged = sample::judged(&format!("203.0.113.{n}"));
        judged.at = at(n.into());
        let line = forms(&Record::of(&Event::Judged(judged), "")).remove(0);
        read(line.as_bytes(), &mut clock(), |_, told| tally.take(told)).unwrap();
    }
    let review = tally.review(3, Step::Auto, 60, &zone());
    assert_eq!((review.blocked, review.source_count, review.untold.sources), (50, 10, 40));
    assert_eq!(review.sources.len(), 3);
    assert_eq!(review.networks[0].sources, 10);
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ -~]{0,40}", r#"["= \\\\a-z:,\[\]]{0,20}"#]
}

proptest! {
    #[test]
    fn written_and_read_again(
        src in any::<u128>(), v4 in any::<bool>(), port in any::<u16>(), enforced in any::<bool>(),
        check in 0..CHECKS.len() as u8, seconds in 0_u64..30_000, text in texts(),
    ) {
        let mut judged = sample::judged("192.0.2.1");
        judged.syn.src = if v4 { (src as u32).to_be_bytes().into() } else { src.to_be_bytes().into() };
        (judged.syn.dport, judged.at, judged.enforced) = (port, at(seconds), enforced);
        judged.decision.check = CheckId(check);
        let refused = Record::of(&Event::Judged(judged), &text);
        let given = Record::of(&Event::Standing(StandingChange {
            at: at(seconds), source: SourceKey::of(judged.syn.src), standing: Standing::Banned,
            port: (port % 2 == 0).then_some(port), lasts: None, reason: text.clone(), offence: 0,
            enforced,
        }), "");
        // Longer ones are cut.
        let short = text.len() <= 100;
        for form in forms(&refused) {
            let Told::Event(entry) = line(&form, &mut clock()) else {
                panic!("{form}");
            };
            prop_assert_eq!(entry.at.as_second() as u64, START + seconds);
            let What::Refused(refused) = entry.what else { panic!("{form}") };
            prop_assert_eq!(
                (refused.src, refused.port, &*refused.reason, refused.enforced),
                (judged.syn.src, port, judged.decision.check.name(), enforced)
            );
        }
        for form in forms(&given) {
            let Told::Event(Entry { what: What::Standing(read), .. }) = line(&form, &mut clock())
            else {
                panic!("{form}");
            };
            prop_assert_eq!((read.rank, read.enforced), (Rank::Banned, enforced));
            prop_assert!(read.source == SourceKey::of(judged.syn.src));
            if short {
                prop_assert_eq!(&*read.reason, &*text);
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, it is read to its end and nothing breaks.
    #[test]
    fn any_bytes(bytes in any::<Vec<u8>>(), at in 0_usize..200, form in 0_usize..10) {
        let mut log = forms(&records()[0]).remove(form).into_bytes();
        let at = at.min(log.len());
        log.splice(at..at, bytes.iter().copied());
        for bytes in [&bytes[..], &log[..], &[b"__", &bytes[..]].concat()] {
            let mut tally = Tally::new(Wanted::default());
            read(bytes, &mut clock(), |_, told| tally.take(told)).unwrap();
            tally.review(10, Step::Auto, 60, &zone());
        }
    }
}

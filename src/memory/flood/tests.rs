//! Crowds and floods on a synthetic clock, as `replay` tells them (every completion at its moment
//! and for its target) and as the daemon does (in lumps, with every tick, for nobody knows whom).

use super::*;

const MS: u64 = 1_000_000;
const START: u64 = 1_000_000 * MS;

/// A hash as good as a keyed one (splitmix64).
pub(super) fn scattered(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How completions become known.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Exactly,
    InLumps,
}

/// One thing that happens: at which millisecond (with a fraction), and what.
#[derive(Clone, Copy, Debug)]
struct Happening {
    at: f64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Syn { source: u64, port: u16, proven: bool, fate: Fate },
    Done { port: u16 },
}

/// A source of its own is let in to port 80.
fn newcomer(n: u64) -> Arrival {
    Arrival {
        source: scattered(n),
        target: Target::of(0, 80),
        port: 80,
        proven: false,
        fate: Fate::LetIn,
    }
}

/// A list of what happens.
#[derive(Default)]
struct Scene(Vec<Happening>);

impl Scene {
    fn add(&mut self, at: f64, what: What) {
        self.0.push(Happening { at, what });
    }

    /// `count` attempts, evenly from `from` for `lasting` milliseconds, from so many sources, each
    /// completed after what `rtt` says of its number.
    fn visits(
        mut self,
        (from, lasting): (f64, f64),
        count: u64,
        sources: u64,
        proven: bool,
        rtt: impl Fn(u64) -> f64,
    ) -> Self {
        for n in 0..count {
            let at = from + lasting * n as f64 / count as f64;
            self.add(at, What::Syn { source: n % sources, port: 443, proven, fate: Fate::LetIn });
            self.add(at + rtt(n), What::Done { port: 443 });
        }
        self
    }

    /// Attempts that nobody completes; at one port after the other if it is 0.
    fn flood(
        mut self,
        (from, lasting): (f64, f64),
        per_second: f64,
        sources: u64,
        port: u16,
        fate: Fate,
    ) -> Self {
        let count = (lasting / 1000.0 * per_second) as u64;
        for n in 0..count {
            let source = 1_000_000 + n % sources;
            let port = if port == 0 { 1000 + n as u16 } else { port };
            self.add(
                from + 1000.0 / per_second * n as f64,
                What::Syn { source, port, proven: false, fate },
            );
        }
        self
    }

    /// Plays it, and for ten seconds more. Returns the beginnings and ends, in milliseconds.
    fn play(mut self, told: Told) -> Vec<(FloodKind, f64, Option<f64>, f64)> {
        self.0.sort_by(|a, b| a.at.total_cmp(&b.at));
        let (flood, rule) = (Flood::default(), FloodRule::new(200.0));
        let moment = |at: f64| Moment(START + (at * MS as f64) as u64);
        let mut news = Vec::new();
        let mut hear = |flood: &Flood, at: f64| {
            let since = |moment: Moment| (moment.0 - START) as f64 / MS as f64;
            let heard = flood.news();
            news.extend(heard.iter().map(|r| (r.kind, since(r.since), r.until.map(since), at)));
        };
        flood.step(rule, moment(0.0));
        let mut lump = 0;
        // Ticks are not in step with anything.
        let mut tick = 37.0;
        let end = self.0.last().map_or(0.0, |last| last.at) + 10_000.0;
        let mut happenings = self.0.into_iter().peekable();
        while let Some(at) = happenings.peek().map(|next| next.at).or((tick < end).then_some(tick))
        {
            if tick <= at {
                match told {
                    Told::Exactly => flood.step(rule, moment(tick)),
                    Told::InLumps => {
                        flood.completed(std::mem::take(&mut lump), None);
                        flood.tick(rule, moment(tick));
                    }
                }
                hear(&flood, tick);
                tick += 100.0;
                continue;
            }
            flood.step(rule, moment(at));
            match happenings.next().map(|happening| happening.what) {
                Some(What::Syn { source, port, proven, fate }) => {
                    let source = scattered(source);
                    let target = Target::of(77 << 48, port);
                    flood.note(rule, &Arrival { source, target, port, proven, fate }, moment(at));
                }
                Some(What::Done { port }) => match told {
                    Told::Exactly => flood.completed(1, Some(Target::of(77 << 48, port))),
                    Told::InLumps => lump += 1,
                },
                None => {}
            }
            hear(&flood, at);
        }
        assert_eq!(flood.kind(), None, "ten seconds later all is over");
        news
    }
}

/// Scattered round-trip times from 20 to 300 ms, most of them short.
fn people(n: u64) -> f64 {
    let share = (scattered(n) >> 40) as f64 / (1u64 << 24) as f64;
    20.0 + 280.0 * share * share * share
}

#[test]
fn what_is_no_flood() {
    let quiet = Scene::default;
    // Over ten seconds from nobody to 1,000 newcomers a second.
    let rush = |rtt: fn(u64) -> f64| {
        let mut scene = Scene::default();
        for n in 0..10_000u64 {
            let at = (n as f64 * 10_000.0).sqrt();
            scene.add(at, What::Syn { source: n, port: 80, proven: false, fate: Fate::LetIn });
            scene.add(at + rtt(n), What::Done { port: 80 });
        }
        scene
    };
    // Steady custom, and then the server is not there for ten seconds: what comes meanwhile is
    // refused by nobody (the port is neutral), and so not counted.
    let restart = quiet().visits((0.0, 10_000.0), 3000, 3000, false, people).visits(
        (20_000.0, 10_000.0),
        3000,
        3000,
        false,
        people,
    );
    for (name, scene) in [
        ("nobody", quiet()),
        ("slow handshakes", quiet().visits((0.0, 5000.0), 500, 500, false, |_| 300.0)),
        ("newcomers all at once", quiet().visits((0.0, 5000.0), 2000, 2000, false, people)),
        ("a rush of newcomers", rush(people)),
        ("a rush of newcomers from far away", rush(|_| 300.0)),
        ("a browser", quiet().visits((0.0, 20.0), 30, 1, false, |_| 300.0)),
        ("one busy client", quiet().visits((0.0, 3200.0), 741, 1, false, |_| 300.0)),
        ("one tireless client nearby", quiet().visits((0.0, 3000.0), 4500, 1, false, |_| 0.3)),
        ("one very busy client nearby", quiet().visits((0.0, 130.0), 500, 1, false, |_| 0.3)),
        ("regulars", quiet().visits((0.0, 5000.0), 20_000, 3000, true, people)),
        ("a restart", restart),
        (
            "a scanner of a few dozen SYNs",
            quiet().flood((500.0, 30.0), 1600.0, 1, 22, Fate::Closed),
        ),
        ("a scan behind decoys", quiet().flood((500.0, 1000.0), 300.0, 30, 0, Fate::Closed)),
        ("noise of the Internet", quiet().flood((0.0, 20_000.0), 40.0, 900, 23, Fate::Closed)),
        (
            "a throttled client",
            quiet().visits((0.0, 100.0), 60, 1, false, |_| 30.0).flood(
                (100.0, 3000.0),
                1000.0,
                1,
                443,
                Fate::Throttled,
            ),
        ),
    ] {
        // Half a second of an odd offset, so that intervals fall otherwise.
        for told in [Told::Exactly, Told::InLumps] {
            let scene = Scene(
                scene.0.iter().map(|h| Happening { at: h.at + 513.0, what: h.what }).collect(),
            );
            assert_eq!(scene.play(told), [], "{name}, told {told:?}");
        }
    }
}

#[test]
fn what_is_a_flood() {
    use FloodKind::{Busy, Forged};
    let quiet = Scene::default;
    let custom = || quiet().visits((0.0, 20_000.0), 6000, 4000, false, people);
    let from = 5000.0;
    let lasting = (from, 4000.0);
    let all = u64::MAX;
    for (name, kind, scene, within) in [
        ("forged, 400/s", Forged, quiet().flood(lasting, 400.0, all, 80, Fate::LetIn), 200.0),
        ("forged, 1,000/s", Forged, quiet().flood(lasting, 1000.0, all, 80, Fate::LetIn), 100.0),
        (
            "forged, 50,000/s",
            Forged,
            quiet().flood((from, 500.0), 50_000.0, all, 80, Fate::LetIn),
            20.0,
        ),
        (
            "forged, 200/s takes longer",
            Forged,
            quiet().flood(lasting, 200.0, all, 80, Fate::LetIn),
            700.0,
        ),
        (
            "forged, at closed ports",
            Forged,
            quiet().flood(lasting, 500.0, all, 81, Fate::Closed),
            200.0,
        ),
        (
            "forged, amid custom",
            Forged,
            custom().flood(lasting, 1000.0, all, 443, Fate::LetIn),
            200.0,
        ),
        (
            "forged, from 300 addresses",
            Forged,
            quiet().flood(lasting, 3000.0, 300, 80, Fate::LetIn),
            200.0,
        ),
        ("one source", Busy, quiet().flood(lasting, 2000.0, 1, 80, Fate::LetIn), 200.0),
        (
            "one source at a closed port",
            Busy,
            quiet().flood(lasting, 1000.0, 1, 81, Fate::Closed),
            200.0,
        ),
        (
            "ten sources amid custom",
            Busy,
            custom().flood(lasting, 3000.0, 10, 443, Fate::LetIn),
            200.0,
        ),
    ] {
        for (told, offset) in [
            (Told::Exactly, 0.0),
            (Told::Exactly, 51.0),
            (Told::InLumps, 13.0),
            (Told::InLumps, 77.0),
        ] {
            let scene = Scene(
                scene
                    .0
                    .iter()
                    .map(|h| Happening { at: h.at + offset, what: h.what })
                    .collect::<Vec<_>>(),
            );
            let last = scene
                .0
                .iter()
                .filter(|h| matches!(h.what, What::Syn { source, .. } if source >= 1_000_000));
            let last = last.map(|h| h.at).fold(0.0, f64::max);
            let news = scene.play(told);
            let [begun, ended] = &news[..] else { panic!("{name}, {told:?}: {news:?}") };
            assert_eq!((begun.0, ended.0), (kind, kind), "{name}, told {told:?}");
            // Where completions come in lumps, an interval more: they are waited for.
            let within = if told == Told::InLumps { within + 100.0 } else { within };
            let late = begun.3 - from - offset;
            assert!((0.0..=within).contains(&late), "{name}, {told:?}: seen after {late} ms");
            let (until, left) = (ended.2.unwrap(), ended.3 - last);
            assert!((until - last).abs() < 1100.0, "{name}, {told:?}: until {until}, not {last}");
            assert!((1000.0..5000.0).contains(&left), "{name}, {told:?}: out after {left} ms");
        }
    }
}

/// The one that freezes is told, whatever else comes; and the other one if it outlasts it.
#[test]
fn two_at_a_time() {
    let scene = Scene::default().flood((1000.0, 3000.0), 1000.0, u64::MAX, 80, Fate::LetIn).flood(
        (2000.0, 7000.0),
        5000.0,
        3,
        25,
        Fate::LetIn,
    );
    let news = scene.play(Told::Exactly);
    let kinds: Vec<_> = news.iter().map(|n| (n.0, n.2.is_some())).collect();
    use FloodKind::{Busy, Forged};
    assert_eq!(kinds, [(Forged, false), (Forged, true), (Busy, false), (Busy, true)], "{news:?}");
}

/// Waves are one flood; connections over loopback and of trusted sources hide none.
#[test]
fn waves_and_what_completes_elsewhere() {
    let waves = (0..4).fold(Scene::default(), |scene, n| {
        scene.flood((1000.0 + 2000.0 * f64::from(n), 500.0), 2000.0, u64::MAX, 80, Fate::LetIn)
    });
    assert_eq!(waves.play(Told::Exactly).len(), 2);

    let mut scene = Scene::default();
    for n in 0..12_000 {
        scene.add(f64::from(n), What::Done { port: 1 });
    }
    let news = scene.flood((8000.0, 3000.0), 3000.0, u64::MAX, 80, Fate::LetIn).play(Told::InLumps);
    assert_eq!(news.len(), 2, "{news:?}");
    assert!(news[0].3 < 8400.0, "{news:?}");
}

/// Who forges a few SYNs now and then cannot keep the mode alive with them.
#[test]
fn a_trickle_does_not_prolong_it() {
    for few in [9, 27] {
        let begins = Scene::default().flood((1000.0, 40.0), 2000.0, u64::MAX, 80, Fate::LetIn);
        let scene = (1..60).fold(begins, |scene, n| {
            let from = 1000.0 + 2900.0 * f64::from(n);
            scene.flood((from, f64::from(few) / 2.0), 2000.0, u64::MAX, 80, Fate::LetIn)
        });
        let news = scene.play(Told::Exactly);
        assert_eq!(news.len(), 2, "{few}: {news:?}");
        assert!(news[1].3 < 6000.0, "{few}: {news:?}");
    }
}

/// What completed over loopback ends. The visitors' completions are not taken for it.
#[test]
fn fewer_completions_are_no_flood() {
    for (visitors, loopback) in [(300, 300), (200, 300), (300, 600), (1000, 1000), (150, 150)] {
        let mut scene =
            Scene::default().visits((0.0, 60_000.0), visitors * 60, u64::MAX, false, |_| 30.0);
        for n in 0..loopback * 30 {
            scene.add(1000.0 * n as f64 / loopback as f64, What::Done { port: 1 });
        }
        let news = scene.play(Told::InLumps);
        assert_eq!(news, [], "{visitors} visitors, {loopback} elsewhere");
    }
}

/// Nothing comes any more, for a minute or for a year: the next look finds it over.
#[test]
fn the_clock_ends_it() {
    for later in [10, 60, 31_536_000] {
        let (flood, rule) = (Flood::default(), FloodRule::new(200.0));
        let mut now = Moment(START);
        for n in 0..2000u64 {
            now = Moment(START + n * MS);
            flood.step(rule, now);
            flood.note(rule, &newcomer(n), now);
        }
        assert!(flood.is_frozen());
        let [lasting] = &flood.lasting()[..] else { panic!() };
        assert_eq!((lasting.kind, &lasting.ports[..]), (FloodKind::Forged, &[80][..]));
        assert!((900.0..1100.0).contains(&lasting.rate), "{lasting:?}");
        flood.step(rule, now + Duration::from_secs(later));
        assert!(!flood.is_frozen());
        let news = flood.news();
        let until = news[1].until.unwrap();
        assert!(until.since(now) <= INTERVAL && now.since(until) <= INTERVAL, "{news:?}");
        assert!((1850..=2000).contains(&news[1].syns), "{news:?}");
        assert!(flood.lasting().is_empty() && flood.news().is_empty());
    }
}

/// Many threads count; one watches. Nothing is lost between them but what a closing swallows.
#[test]
fn threads_share_it() {
    let (flood, rule) = (Flood::default(), FloodRule::new(200.0));
    flood.step(rule, Moment(START));
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let flood = &flood;
            scope.spawn(move || {
                for n in 0..5000u64 {
                    let now = Moment(START + n * MS / 5);
                    flood.step(rule, now);
                    flood.note(rule, &newcomer((thread << 32) | n), now);
                }
            });
        }
    });
    assert!(flood.is_frozen());
    flood.rest(Moment(START + 2000 * MS));
    assert!(!flood.is_frozen());
    assert_eq!(flood.news().iter().filter(|r| r.until.is_some()).count(), 1);
}

//! The story, scene by scene.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::cast::{ANNA, BEN, CARL, DORA, GUS, MALLORY, Person, Stage, TRUDY};
use super::gate::{Gate, POLICY};
use super::narrator::{Narrator, Tone};
use super::outcome::{self, Tally};
use super::{DemoArgs, Stop};
use crate::lab::{Forge, Manner, Overheard, Probe, Visit};
use crate::policy::Standing;

/// How long people wait; a dropped SYN is sent again after one second.
const PATIENCE: Duration = Duration::from_millis(2800);
/// Impatient people do not wait for that.
const HASTE: Duration = Duration::from_millis(300);

/// Everything a scene needs.
struct Play<'a> {
    narrator: Narrator,
    stage: &'a Stage,
    gate: Gate<'a>,
    tallies: Vec<Tally>,
}

/// Plays the demo from beginning to end.
pub(super) fn play(args: DemoArgs) -> Result<(), Stop> {
    let mut narrator = Narrator::new(args.fast)?;
    let begun = Instant::now();
    prologue(&mut narrator)?;
    let building = Instant::now();
    let stage = Stage::build()?;
    let (gate, log) = Gate::start(&stage.server)?;
    narrator.follow(log);
    let up = format!("Hosts and gate are up after {:.1} s.", building.elapsed().as_secs_f32());
    narrator.tell(&up)?;

    let mut play = Play { narrator, stage: &stage, gate, tallies: Vec::new() };
    play.ordinary()?;
    play.denied()?;
    play.hasty()?;
    play.scanner()?;
    play.forged()?;
    play.guesser()?;
    play.ordinary_again()?;
    play.epilogue(begun)
}

fn prologue(narrator: &mut Narrator) -> Result<(), Stop> {
    narrator
        .say(&narrator.paint(Tone::Bold, "Portcullis, on a private network of this machine"))?;
    for line in [
        "",
        "   visitors   203.0.113.0/24  ─┐            ┌──────┐",
        "              2001:db8:7::/64  ├── router ──┤ gate ├── server  198.51.100.10",
        "   attackers  192.0.2.0/24    ─┘            └──────┘           ssh 22, web 80",
        "",
        "   Real packets through this machine's kernel; the gate is this program, run",
        "   as a daemon on the server. Its own log lines, shortened, look like this:",
    ] {
        narrator.say(line)?;
    }
    narrator.say(&narrator.paint(Tone::Faint, "     │ DROP SRC=… DPT=… reason=…"))?;
    narrator.say("")?;
    narrator.say("   Its policy, beside the defaults:")?;
    for line in POLICY.lines() {
        narrator.say(&narrator.paint(Tone::Faint, &format!("     {line}")))?;
    }
    narrator.say("")?;
    narrator.rest(Duration::from_millis(1500))
}

impl Play<'_> {
    /// Ordinary visitors do not notice the gate.
    fn ordinary(&mut self) -> Result<(), Stop> {
        self.narrator.scene("Ordinary visitors")?;
        for person in [ANNA, BEN] {
            let seen = self.visit(person, 1, PATIENCE)?;
            let quick = seen.iter().filter_map(Visit::connected).all(|t| t < HASTE);
            let line = format!(
                "{} ({}) asks for {}: {}",
                person.name,
                person.address,
                person.wants(),
                experience(&seen)
            );
            self.narrator.result(served(&seen) == 1 && quick, Tone::Good, &line)?;
        }
        Ok(())
    }

    /// The deny list.
    fn denied(&mut self) -> Result<(), Stop> {
        self.narrator.scene("An address on the deny list")?;
        let seen = self.visit(MALLORY, 1, Duration::from_millis(700))?;
        let line =
            format!("Mallory ({}) asks for the web page: {}", MALLORY.address, experience(&seen));
        self.narrator.result(served(&seen) == 0, Tone::Bad, &line)
    }

    /// A client over its rate is slowed down, and no more.
    fn hasty(&mut self) -> Result<(), Stop> {
        self.narrator.scene("A client over its rate")?;
        self.narrator.tell("Carl's script fetches ten pages in a row; five at once are fine.")?;
        let seen = self.visit(CARL, 10, PATIENCE)?;
        let waited = seen.iter().filter_map(Visit::connected).filter(|t| *t > HASTE).count();
        let line = format!(
            "{} of 10 pages served; {waited} of them had to knock a second time, 1 s later",
            served(&seen)
        );
        self.narrator.result(served(&seen) == 10 && waited > 0, Tone::Mild, &line)
    }

    /// A raw port scan.
    fn scanner(&mut self) -> Result<(), Stop> {
        self.narrator.scene("A port scanner")?;
        self.narrator.tell("Trudy sends a raw SYN to each port from 1 to 200 and listens.")?;
        let broken = |e: std::io::Error| Stop::Broken(format!("scanning: {e}"));
        let ears = Overheard::start(&self.stage.attackers).map_err(broken)?;
        self.send(TRUDY, Manner::Scanner, 150, (1..=200).collect())?;
        let heard = ears.stop(Duration::from_millis(300)).len();
        self.tallies.push(Tally { name: TRUDY.name, tries: 200, served: heard });
        let line = format!("She learnt {heard} of the 2 open ports.");
        self.narrator.result(heard == 0, Tone::Bad, &line)?;
        self.narrator.tell("Her address might be forged: a suspect, therefore, and not banned.")
    }

    /// Somebody is made a suspect by others, and gets in all the same.
    fn forged(&mut self) -> Result<(), Stop> {
        self.narrator.scene("A forged address")?;
        self.narrator.tell("The attackers send SYNs to closed ports in Dora's name.")?;
        self.send(DORA, Manner::Linux, 50, (8101..8111).collect())?;
        let seen = self.visit(DORA, 2, PATIENCE)?;
        let waits: Vec<Duration> = seen.iter().filter_map(Visit::connected).collect();
        let line = format!("Dora herself asks for the web page: {}", experience(&seen[..1]));
        let as_said = served(&seen) == 2 && waits.first().is_some_and(|t| *t > HASTE);
        self.narrator.result(as_said, Tone::Good, &line)?;
        let line = format!(
            "By knocking twice she proved to be real. Her next page: {}",
            experience(&seen[1..])
        );
        self.narrator.result(waits.get(1).is_some_and(|t| *t < HASTE), Tone::Good, &line)
    }

    /// Somebody who repeats, on evidence that is his own.
    fn guesser(&mut self) -> Result<(), Stop> {
        self.narrator.scene("A password guesser")?;
        self.narrator.tell("Gus tries one ssh password after the other, twelve times.")?;
        let seen = self.visit(GUS, 12, Duration::from_millis(200))?;
        let line = format!("{} of his 12 attempts reached ssh.", served(&seen));
        self.narrator.result(served(&seen) <= 3, Tone::Bad, &line)?;
        let standing = outcome::standing(&self.gate.bans()?, GUS);
        let line =
            format!("He did complete connections, so it is really him: {}.", standing.word());
        self.narrator.result(standing == Standing::Banned, Tone::Bad, &line)?;
        let web = Person { port: 80, ..GUS };
        let seen = self.visit(web, 1, Duration::from_millis(700))?;
        let line = format!("The web page is closed to him, too: {}.", experience(&seen));
        self.narrator.result(served(&seen) == 0, Tone::Bad, &line)
    }

    /// After all that.
    fn ordinary_again(&mut self) -> Result<(), Stop> {
        self.narrator.scene("Ordinary visitors, after all that")?;
        for person in [ANNA, BEN] {
            let seen = self.visit(person, 1, PATIENCE)?;
            let line =
                format!("{} asks for {}: {}", person.name, person.wants(), experience(&seen));
            self.narrator.result(served(&seen) == 1, Tone::Good, &line)?;
        }
        Ok(())
    }

    /// What the gate and the kernel say themselves.
    fn epilogue(&mut self, begun: Instant) -> Result<(), Stop> {
        self.narrator.scene("What the gate says: its log, and `portcullis bans list`")?;
        outcome::table(&self.narrator, &self.gate, &self.tallies)?;
        self.narrator.scene("What the kernel says: `nft list set inet portcullis …`")?;
        outcome::sets(&self.narrator, &self.gate)?;
        self.narrator.say("")?;
        let failures = self.narrator.failures();
        if failures > 0 {
            return Err(Stop::Unexpected(failures));
        }
        let seconds = begun.elapsed().as_secs_f32();
        self.narrator.say(&format!(
            "   All as it should be, in {seconds:.0} s. Gate, hosts and rules are gone now; nothing"
        ))?;
        self.narrator
            .say("   on this machine was changed. README.md tells how to put it on a server.")
    }

    /// Someone visits their service, while the log is told.
    fn visit(&mut self, who: Person, times: usize, patience: Duration) -> Result<Vec<Visit>, Stop> {
        let work = self.stage.visits(who, times, patience)?;
        let seen = self.narrator.during(work)?;
        self.tallies.push(Tally { name: who.name, tries: times, served: served(&seen) });
        Ok(seen)
    }

    /// The attackers send one SYN to each port in someone's name, while the log is told.
    fn send(
        &mut self,
        name: Person,
        manner: Manner,
        per_second: u32,
        ports: Vec<u16>,
    ) -> Result<(), Stop> {
        let to = self.stage.server_for(name, 0);
        let syn = move |port: u16| {
            let from = SocketAddr::new(name.ip(), 40_000 + port % 1000);
            Probe::syn(from, SocketAddr::new(to.ip(), port)).manner(manner)
        };
        let work = move || Forge::open()?.flood(ports.into_iter().map(syn), per_second);
        let sending = self.stage.attackers.spawn(work).map_err(|e| Stop::Broken(e.to_string()))?;
        let sent = self.narrator.during(sending)?;
        sent.map(drop).map_err(|e| Stop::Broken(format!("sending raw packets: {e}")))
    }
}

/// How many visits were served.
fn served(seen: &[Visit]) -> usize {
    seen.iter().filter(|visit| visit.is_served()).count()
}

/// What a visitor would say of it.
fn experience(seen: &[Visit]) -> String {
    match seen.first() {
        Some(Visit::Served { connected, .. }) => format!("let in after {}", time(*connected)),
        Some(Visit::Silent { .. }) => "connected, but not served".into(),
        Some(Visit::Refused) => "refused by the server itself".into(),
        Some(Visit::TimedOut) => "no answer at all".into(),
        Some(Visit::Failed(why)) => why.clone(),
        None => "nothing".into(),
    }
}

/// `0.4 ms`, `1.03 s`.
fn time(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{:.1} ms", span.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", span.as_secs_f64())
    }
}

//! The thread that tells: events in, lines out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use std::{io, mem};

use super::interfaces::Interfaces;
use super::sink::{Sink, Written};
use super::{Alarms, Event, Level, Notice, Record, Throttle};
use crate::config;
use crate::memory::{Moment, SourceKey};

/// Events that may wait to be told.
const WAITING: usize = 8192;
/// While events keep coming, the thread looks for them this often instead of being woken by each:
/// a wake-up is a system call for the thread that sends, and that thread holds a packet.
const POLL: Duration = Duration::from_millis(20);
/// After so many looks without an event it goes to sleep until it is woken.
const LOOKS: u32 = 25;
/// How long [`Events::stop`] waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(3);

enum Message {
    Event(Event),
    Reconfigure(config::Events),
    Stop,
}

/// Hands events to the thread that tells them. Clone it for every thread that has something to
/// tell.
#[derive(Clone)]
pub struct Teller(SyncSender<Message>);

impl Teller {
    /// Hands an event over without ever waiting. False: there was no room, and the event is lost;
    /// the caller counts it.
    #[inline]
    #[must_use = "an event that is lost has to be counted"]
    pub fn tell(&self, event: Event) -> bool {
        self.0.try_send(Message::Event(event)).is_ok()
    }

    /// Hands an event over, waiting up to a second for room. For starts, stops and alarms; never
    /// for a thread that holds packets. False: it is lost.
    pub fn tell_patiently(&self, event: Event) -> bool {
        send(&self.0, Message::Event(event), Duration::from_secs(1))
    }
}

/// The thread and what it shares.
pub struct Events {
    sender: SyncSender<Message>,
    thread: JoinHandle<()>,
    alarms: Alarms,
    lines_lost: Arc<AtomicU64>,
}

impl Events {
    /// Starts the thread. Sinks are opened when there is something to write; one that cannot be
    /// opened is an alarm, not an error.
    ///
    /// # Errors
    /// Only if the system has no room for another thread.
    pub fn start(config: &config::Events) -> io::Result<(Teller, Self)> {
        let (sender, receiver) = sync_channel(WAITING);
        let alarms = Alarms::default();
        let lines_lost = Arc::default();
        let mut worker = Worker::new(config, alarms.clone(), Arc::clone(&lines_lost));
        let thread =
            thread::Builder::new().name("events".into()).spawn(move || worker.run(&receiver))?;
        Ok((Teller(sender.clone()), Self { sender, thread, alarms, lines_lost }))
    }

    /// Uses another configuration from now on, and opens files and sockets anew.
    pub fn reconfigure(&self, config: &config::Events) {
        send(&self.sender, Message::Reconfigure(config.clone()), Duration::from_secs(1));
    }

    /// The last alarms that were told, and those about the telling itself.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Lines that could not be written, because syslog or a file did not take them.
    pub fn lines_lost(&self) -> u64 {
        self.lines_lost.load(Relaxed)
    }

    /// Tells everything that was handed over before, and the summaries that wait, then ends the
    /// thread. Gives up after three seconds: a stop must not hang on a syslog that does not
    /// answer.
    pub fn stop(self) {
        let deadline = Instant::now() + LAST_LINES;
        send(&self.sender, Message::Stop, LAST_LINES);
        while !self.thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        if self.thread.is_finished() {
            // The thread has ended; there is nothing to learn from how.
            let _ = self.thread.join();
        }
    }
}

/// Sends, waiting for room at most `patience`.
fn send(sender: &SyncSender<Message>, mut message: Message, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        match sender.try_send(message) {
            Ok(()) => return true,
            Err(TrySendError::Full(back)) if Instant::now() < deadline => message = back,
            Err(_) => return false,
        }
        thread::sleep(Duration::from_millis(5));
    }
}

struct Worker {
    /// Where the moments of this thread begin.
    birth: Instant,
    throttle: Throttle,
    lines: Option<Sink>,
    json: Option<Sink>,
    interfaces: Interfaces,
    alarms: Alarms,
    lines_lost: Arc<AtomicU64>,
}

impl Worker {
    fn new(config: &config::Events, alarms: Alarms, lines_lost: Arc<AtomicU64>) -> Self {
        Self {
            birth: Instant::now(),
            throttle: Throttle::new(config.lines, config.every),
            lines: Sink::for_lines(config),
            json: Sink::for_json(config),
            interfaces: Interfaces::default(),
            alarms,
            lines_lost,
        }
    }

    fn run(&mut self, receiver: &Receiver<Message>) {
        let mut empty = LOOKS;
        loop {
            let first = if empty < LOOKS {
                thread::sleep(POLL);
                receiver.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            } else {
                let idle = Duration::from_secs(3600);
                let next = self.throttle.next().map_or(idle, |next| next.since(self.now()));
                receiver.recv_timeout(next)
            };
            match first {
                Ok(message) => {
                    empty = 0;
                    for message in std::iter::once(message).chain(receiver.try_iter()) {
                        if !self.take(message) {
                            return self.end();
                        }
                        self.tell_due();
                    }
                }
                Err(RecvTimeoutError::Timeout) => empty = empty.saturating_add(1),
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
            self.tell_due();
        }
    }

    /// False: it is time to end.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Event(event) => self.event(&event),
            Message::Reconfigure(config) => {
                self.throttle.set(config.lines, config.every);
                self.lines = Sink::for_lines(&config);
                self.json = Sink::for_json(&config);
            }
            Message::Stop => return false,
        }
        true
    }

    fn event(&mut self, event: &Event) {
        let now = self.now();
        let (to_lines, to_json, interface) = match event {
            Event::Judged(judged) => {
                let source = SourceKey::of(judged.syn.src);
                let full =
                    self.throttle.judged(now, source, judged.decision.check, judged.enforced);
                (full, full, judged.interface)
            }
            Event::Standing(change) => {
                (self.throttle.standing(now, change.source, change.standing), true, 0)
            }
            Event::Notice(notice) => {
                self.alarms.note(notice);
                (true, true, 0)
            }
        };
        if to_lines || (to_json && self.json.is_some()) {
            let record = Record::of(event, self.interfaces.name(now, interface));
            self.write(&record, to_lines);
        }
    }

    fn tell_due(&mut self) {
        let now = self.now();
        if self.throttle.next().is_some_and(|next| next <= now) {
            for summary in self.throttle.due(now) {
                self.write(&summary.record(SystemTime::now()), true);
            }
        }
    }

    fn end(&mut self) {
        for summary in self.throttle.flush(self.now()) {
            self.write(&summary.record(SystemTime::now()), true);
        }
    }

    /// Writes a record to JSON and, with `to_lines`, as a line. What goes wrong with one sink is
    /// told to the other, to standard error and to `status`.
    fn write(&mut self, record: &Record, to_lines: bool) {
        let now = self.now();
        let mut troubles = Vec::new();
        for (sink, wanted) in [(&mut self.lines, to_lines), (&mut self.json, true)] {
            let Some(sink) = sink.as_mut().filter(|_| wanted) else { continue };
            match sink.write(now, record) {
                Written::Yes => continue,
                Written::Again(lost) => troubles.push(recovered(&sink.name(), lost)),
                Written::Failed(error) => troubles.push(failed(&sink.name(), &error)),
                Written::Lost => {}
            }
        }
        let lost: u64 = [&mut self.lines, &mut self.json]
            .into_iter()
            .flatten()
            .map(|sink| mem::take(&mut sink.newly_lost))
            .sum();
        self.lines_lost.fetch_add(lost, Relaxed);
        for notice in troubles {
            self.alarms.note(&notice);
            let record = Record::of(&Event::Notice(notice), "");
            // A sink that fails now says nothing more: there would be no end to it.
            let mut told = [false; 2];
            for (sink, told) in [&mut self.lines, &mut self.json].into_iter().zip(&mut told) {
                let Some(sink) = sink else { continue };
                *told = sink.works() && matches!(sink.write(now, &record), Written::Yes);
            }
            // People read lines. Only who wants none is content with the file for programs.
            let heard = if self.lines.is_some() { told[0] } else { told[1] };
            if !heard && !self.lines.as_ref().is_some_and(Sink::is_stderr) {
                Sink::stderr().write(now, &record);
            }
        }
    }

    fn now(&self) -> Moment {
        Moment(self.birth.elapsed().as_nanos() as u64)
    }
}

fn failed(name: &str, error: &io::Error) -> Notice {
    Notice {
        at: SystemTime::now(),
        level: Level::Error,
        what: "log",
        text: format!(
            "cannot write to {name}: {error}. Lines are lost until it works again; \
             see [events] in the policy file"
        ),
    }
}

fn recovered(name: &str, lost: u64) -> Notice {
    Notice {
        at: SystemTime::now(),
        level: Level::Warning,
        what: "log",
        text: format!("{name} works again; lines lost meanwhile: {lost}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::sample;
    use super::*;
    use crate::config::LogTarget;

    fn config(json: &Path) -> config::Events {
        config::Events {
            to: LogTarget::Nowhere,
            json: Some(json.to_owned()),
            ..config::Events::default()
        }
    }

    fn events(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn notice(what: &'static str) -> Event {
        Event::Notice(Notice {
            at: SystemTime::now(),
            level: Level::Warning,
            what,
            text: "text".into(),
        })
    }

    #[test]
    fn everything_handed_over_is_told_before_the_stop() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("1.json"), dir.path().join("2.json"));
        let (teller, handle) = Events::start(&config(&first)).unwrap();
        let refused = |n: usize| {
            for _ in 0..n {
                assert!(teller.tell(Event::Judged(sample::judged("203.0.113.7"))));
            }
        };
        refused(50);
        handle.reconfigure(&config(&second));
        refused(10);
        assert!(teller.tell_patiently(notice("flushed")));
        handle.stop();
        let verbs = |path| -> Vec<String> {
            events(path).iter().map(|event| event["event"].as_str().unwrap().into()).collect()
        };
        assert_eq!(verbs(&first), ["drop", "drop", "drop"]);
        assert_eq!(verbs(&second), ["alarm", "drop-more"]);
        assert_eq!(events(&second)[1]["count"], 57);
        assert!(!teller.tell(notice("late")), "nobody listens any more");
    }

    #[test]
    fn a_broken_sink_is_an_alarm_and_its_losses_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&dir.path().join("events.json"));
        config.to = LogTarget::Syslog;
        config.syslog = dir.path().join("nobody").to_str().unwrap().into();
        let (teller, handle) = Events::start(&config).unwrap();
        for _ in 0..3 {
            assert!(teller.tell(notice("flushed")));
        }
        let alarms = handle.alarms().clone();
        let lost = Arc::clone(&handle.lines_lost);
        handle.stop();
        let whats: Vec<String> = alarms.recent().into_iter().map(|alarm| alarm.what).collect();
        assert_eq!(whats, ["flushed", "flushed", "log", "flushed"]);
        assert_eq!(lost.load(Relaxed), 3);
        let told = events(&dir.path().join("events.json"));
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[1]["text"].as_str().unwrap().starts_with("cannot write to syslog at "));
    }

    #[test]
    fn a_full_channel_never_waits() {
        let (sender, receiver) = sync_channel(2);
        let teller = Teller(sender);
        let told: Vec<bool> = (0..3).map(|_| teller.tell(notice("x"))).collect();
        assert_eq!(told, [true, true, false]);
        drop(receiver);
        assert!(!teller.tell_patiently(notice("x")));
    }
}

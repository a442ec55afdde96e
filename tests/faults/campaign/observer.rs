//! Ordinary clients, who notice everything: they connect all the while, whatever becomes of those
//! before them, to a served port; and now and then to a port that nobody serves, where an answer
//! means that nobody judged.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::{ALLOWED, NEWCOMERS, WALKERS};
use crate::stage::{BEN, CARLA, DORA, World, address};

/// A client comes this often.
const STEP: Duration = Duration::from_millis(10);
/// A closed port is tried this often.
const WALL_STEP: Duration = Duration::from_millis(40);
/// Who waits so long has not been let in: a SYN is sent again after 1, 3 and 7 seconds.
const PATIENCE: Duration = Duration::from_secs(9);
/// A closed port that does not answer within this time is judged.
const WALL_PATIENCE: Duration = Duration::from_millis(120);
/// The observer itself was held up: nothing is known of such a time.
const STALL: Duration = Duration::from_millis(40);

/// Who knocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody on the allow list.
    Allowed,
    /// Somebody else, who is as honest.
    Unknown,
    /// Somebody at a closed port.
    AtTheWall,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Connected and served.
    LetIn,
    /// The server's own kernel said no: nobody listens there.
    Answered,
    /// No answer within the patience.
    Silence,
    /// Anything else.
    Failed(String),
}

/// One attempt to connect.
#[derive(Clone, Debug)]
pub(crate) struct Knock {
    pub(crate) who: Who,
    pub(crate) from: IpAddr,
    pub(crate) begun: Instant,
    /// When the handshake was complete, or what else became of it was known.
    pub(crate) ended: Instant,
    pub(crate) end: End,
}

#[derive(Default)]
struct Seen {
    knocks: VecDeque<Knock>,
    stalls: VecDeque<(Instant, Instant)>,
    /// When the first of those was begun who still wait.
    waiting: Option<Instant>,
}

/// The clients, at work on a thread of their own.
pub(crate) struct Observer {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What was seen in a span of time.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// The longest time in which nobody got in.
    pub(crate) held: Duration,
    /// The longest time in which nobody judged.
    pub(crate) open: Duration,
    /// How many got in.
    pub(crate) let_in: usize,
    /// Who should have got in and did not.
    pub(crate) refused: Vec<Knock>,
}

impl Observer {
    /// Sends the clients from the people's host.
    pub(crate) fn start(world: &World) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let crowd = Crowd::new(world);
        let (told, ended) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = world.people.spawn(move || crowd.knock(&told, &ended)).expect("a host");
        let thread = thread::spawn(move || thread.join().expect("no panic").expect("a host"));
        Self { seen, stop, thread: Some(thread) }
    }

    /// What was seen between two moments; waits until everybody who came then knows how it ended.
    pub(crate) fn sight(&self, from: Instant, to: Instant) -> Sight {
        let deadline = Instant::now() + PATIENCE * 2;
        while lock(&self.seen).waiting.is_some_and(|waiting| waiting < to) {
            assert!(Instant::now() < deadline, "the observer has stopped");
            thread::sleep(Duration::from_millis(10));
        }
        let mut seen = lock(&self.seen);
        let sight = seen.sight(from, to);
        // Nobody asks for what is before that again, but for those who still waited.
        while seen.knocks.front().is_some_and(|knock| knock.begun + PATIENCE * 3 < from) {
            seen.knocks.pop_front();
        }
        while seen.stalls.front().is_some_and(|(_, end)| *end + PATIENCE * 3 < from) {
            seen.stalls.pop_front();
        }
        sight
    }

    /// Was a closed port judged since then?
    pub(crate) fn is_judged_since(&self, since: Instant) -> bool {
        let seen = lock(&self.seen);
        let since = seen.knocks.iter().filter(|knock| knock.begun > since);
        let last =
            since.filter(|knock| knock.who == Who::AtTheWall).max_by_key(|knock| knock.begun);
        last.is_some_and(|knock| knock.end == End::Silence)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Seen {
    fn sight(&self, from: Instant, to: Instant) -> Sight {
        let inside = |at: Instant| from <= at && at <= to;
        let doors = || self.knocks.iter().filter(|knock| knock.who != Who::AtTheWall);
        let mut moments: Vec<Instant> =
            doors().filter(|knock| knock.end == End::LetIn).map(|knock| knock.ended).collect();
        moments.retain(|at| inside(*at));
        let let_in = moments.len();
        moments.extend([from, to]);
        moments.sort();
        let gaps = moments.windows(2).map(|pair| self.awake(pair[0], pair[1]));
        let held = gaps.max().unwrap_or_default();

        let mut walls: Vec<&Knock> = self
            .knocks
            .iter()
            .filter(|knock| knock.who == Who::AtTheWall && inside(knock.begun))
            .collect();
        walls.sort_by_key(|knock| knock.begun);
        let runs =
            walls.chunk_by(|one, next| (one.end == End::Answered) == (next.end == End::Answered));
        let unjudged = runs.filter(|run| run[0].end == End::Answered);
        let open = unjudged.map(|run| run[run.len() - 1].ended - run[0].begun).max();

        let refused = doors().filter(|knock| inside(knock.begun) && knock.end != End::LetIn);
        Sight { held, open: open.unwrap_or_default(), let_in, refused: refused.cloned().collect() }
    }

    /// How much of a span the observer was awake.
    fn awake(&self, from: Instant, to: Instant) -> Duration {
        let asleep = self
            .stalls
            .iter()
            .map(|(begun, ended)| (*ended).min(to).saturating_duration_since((*begun).max(from)));
        (to - from).saturating_sub(asleep.sum())
    }
}

/// Where they come from and go to.
struct Crowd {
    to: [SocketAddr; 2],
    count: u32,
}

/// A client who waits.
struct Waiting {
    knock: Knock,
    socket: Socket,
    connected: bool,
}

impl Crowd {
    fn new(world: &World) -> Self {
        let server = |from: &str| SocketAddr::new(world.server_for(address(from)), 80);
        Self { to: [server(BEN), server(CARLA)], count: 0 }
    }

    fn knock(mut self, seen: &Mutex<Seen>, stop: &AtomicBool) {
        let mut all: Vec<Waiting> = Vec::new();
        let (mut door, mut wall) = (Instant::now(), Instant::now());
        let mut expected = Instant::now() + STEP;
        while !stop.load(Relaxed) {
            let now = Instant::now();
            let late = (now > expected + STALL).then_some((expected, now));
            // Whoever was held up does not catch up.
            for (due, step, at_the_wall) in [(&mut door, STEP, false), (&mut wall, WALL_STEP, true)]
            {
                if *due <= now {
                    all.push(self.next(at_the_wall));
                    *due = (*due + step).max(now);
                }
            }
            let next = door.min(wall);
            expected = next;
            ready(&mut all, next);
            let mut done = Vec::new();
            all.retain_mut(|waiting| match waiting.look() {
                Some(knock) => {
                    done.push(knock);
                    false
                }
                None => true,
            });
            let mut seen = lock(seen);
            seen.knocks.extend(done);
            seen.stalls.extend(late);
            seen.waiting = all.iter().map(|waiting| waiting.knock.begun).min();
        }
    }

    fn next(&mut self, at_the_wall: bool) -> Waiting {
        self.count += 1;
        let n = self.count;
        let of = |net: Ipv4Addr, size: u32| {
            IpAddr::from(Ipv4Addr::from_bits(net.to_bits() + 1 + n % size))
        };
        let (who, from) = match (at_the_wall, n % 8) {
            (true, _) => (Who::AtTheWall, of(WALKERS, 30_000)),
            (_, 0..3) => (Who::Allowed, of(ALLOWED, 200)),
            (_, 3..6) => (Who::Unknown, of(NEWCOMERS, 5000)),
            (_, 6) => (Who::Unknown, address(if n % 16 == 6 { BEN } else { DORA })),
            (_, _) => (Who::Unknown, address(CARLA)),
        };
        let mut to = self.to[usize::from(from.is_ipv6())];
        if at_the_wall {
            to.set_port(81);
        }
        let begun = Instant::now();
        let knock = Knock { who, from, begun, ended: begun, end: End::Silence };
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), None);
        let socket = socket.expect("a descriptor");
        let started =
            socket.bind(&SocketAddr::new(from, 0).into()).and_then(|()| socket.connect(&to.into()));
        let mut waiting = Waiting { knock, socket, connected: false };
        match started {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                waiting.knock.end = End::Failed(error.to_string());
            }
            _ => {}
        }
        waiting
    }
}

/// Waits until somebody has something new, or the next one is due.
fn ready(all: &mut [Waiting], next: Instant) {
    let left = next.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
    let flags = |waiting: &Waiting| if waiting.connected { PollFlags::IN } else { PollFlags::OUT };
    let mut polled: Vec<PollFd<'_>> =
        all.iter().map(|waiting| PollFd::new(&waiting.socket, flags(waiting))).collect();
    // An interrupted wait is a short one.
    let _ = poll(&mut polled, Some(&left));
}

impl Waiting {
    /// Goes on with it; the knock, if it is over.
    fn look(&mut self) -> Option<Knock> {
        let end = if matches!(self.knock.end, End::Failed(_)) {
            Some(self.knock.end.clone())
        } else if self.connected {
            self.listen()
        } else {
            self.connect()
        };
        let wall = self.knock.who == Who::AtTheWall;
        let patience = if wall { WALL_PATIENCE } else { PATIENCE };
        let end =
            end.or_else(|| (self.knock.begun.elapsed() > patience).then_some(End::Silence))?;
        if !self.connected {
            self.knock.ended = Instant::now();
        }
        Some(Knock { end, ..self.knock.clone() })
    }

    fn connect(&mut self) -> Option<End> {
        match self.socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => {
                let answered = error.kind() == ErrorKind::ConnectionRefused;
                return Some(if answered { End::Answered } else { End::Failed(error.to_string()) });
            }
        }
        // Connected at last?
        self.socket.peer_addr().ok()?;
        self.connected = true;
        self.knock.ended = Instant::now();
        if self.knock.who == Who::AtTheWall {
            return Some(End::Failed("somebody serves port 81".into()));
        }
        let asked = (&self.socket).write_all(b"GET / HTTP/1.0\r\n\r\n");
        asked.err().map(|error| End::Failed(error.to_string()))
    }

    fn listen(&mut self) -> Option<End> {
        match (&self.socket).read(&mut [0; 256]) {
            Ok(0) => Some(End::Failed("the server said nothing".into())),
            Ok(_) => Some(End::LetIn),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => Some(End::Failed(error.to_string())),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

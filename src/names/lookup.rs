//! Questions to the system's resolver, in threads of their own.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};

use super::answer::{Answer, Family};

/// The longest that an answer is waited for. The usual resolver gives up after 10 seconds for each
/// of its servers; modules of nsswitch.conf may wait for ever.
pub const LIMIT: Duration = Duration::from_secs(15);
/// Threads at the same time, those that hang among them.
const THREADS: usize = 8;
/// The longest that a question waits for a thread.
const WAITING: Duration = Duration::from_secs(60);

/// The system's own list of names (hosts(5)).
const HOSTS: &str = "/etc/hosts";

/// Asks the system. Takes as long as that takes.
///
/// A name with a dot is complete: the search domains of resolv.conf(5) are not tried for it.
/// Otherwise, once the name is gone, the answer would be whoever has `name.search-domain`, and he
/// would be trusted. Resolvers know the dot at the end as the sign for that, /etc/hosts does not, so
/// it is read here first.
pub fn look_up(name: &str, family: Family) -> Answer {
    if !name.contains('.') || name.ends_with('.') || name.parse::<IpAddr>().is_ok() {
        return ask(name, family);
    }
    // A file that cannot be read has no names.
    let hosts = std::fs::read(HOSTS).unwrap_or_default();
    listed(&String::from_utf8_lossy(&hosts), name, family)
        .unwrap_or_else(|| ask(&format!("{name}."), family))
}

/// What a file as hosts(5) says of a name; `None` if it does not know it. A name that has addresses
/// of the other family only is known, and has none.
fn listed(hosts: &str, name: &str, family: Family) -> Option<Answer> {
    let entries = hosts.lines().filter_map(|line| {
        let line = line.split_once('#').map_or(line, |(entry, _)| entry);
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    });
    let known: Vec<IpAddr> = entries.collect();
    if known.is_empty() {
        return None;
    }
    let fits = |address: &IpAddr| address.is_ipv4() == (family == Family::V4);
    let fitting: Vec<IpAddr> = known.into_iter().filter(fits).collect();
    Some(if fitting.is_empty() { Answer::Nothing } else { Answer::Addresses(fitting) })
}

fn ask(name: &str, family: Family) -> Answer {
    let wanted = match family {
        Family::V4 => AddrFamily::Inet,
        Family::V6 => AddrFamily::Inet6,
    };
    // One line per address, not one per kind of socket. Addresses of both families are wanted,
    // whether this host has such or not: its guests may.
    let hints = AddrInfoHints {
        address: wanted.into(),
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let failed = |why: String| {
        let words = why.strip_prefix("failed to lookup address information: ");
        Answer::Failed(words.unwrap_or(&why).to_owned())
    };
    match getaddrinfo(Some(name), None, Some(hints)) {
        Ok(found) => {
            let addresses: Result<Vec<_>, _> =
                found.map(|info| info.map(|info| info.sockaddr.ip())).collect();
            addresses.map_or_else(|error| failed(error.to_string()), Answer::Addresses)
        }
        Err(error) => match error.kind() {
            LookupErrorKind::NoName | LookupErrorKind::NoData => Answer::Nothing,
            // EAI_ADDRFAMILY (netdb.h of glibc): it is there, with addresses of the other family.
            _ if error.error_num() == -9 => Answer::Nothing,
            _ => failed(error.to_string()),
        },
    }
}

/// What asks: [`look_up`], or something that a test makes up.
type Ask = Arc<dyn Fn(&str, Family) -> Answer + Send + Sync>;

/// An answer on its way back.
#[derive(Debug)]
pub struct Answered {
    number: u64,
    answer: Answer,
}

/// Questions on their way. Each gets an answer, and be it that nobody answered in time; one that
/// comes later is thrown away. A thread that hangs keeps its place, so there are never more.
pub struct Lookups {
    ask: Ask,
    waiting: VecDeque<Question>,
    asked: Vec<Question>,
    next: u64,
}

struct Question {
    number: u64,
    name: String,
    family: Family,
    /// When it was put, and from then on when it was asked.
    since: Instant,
    /// Nobody waits for it any more.
    given_up: bool,
}

impl Lookups {
    /// Nothing is asked yet.
    pub fn new(ask: impl Fn(&str, Family) -> Answer + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask), waiting: VecDeque::new(), asked: Vec::new(), next: 0 }
    }

    /// Puts a question.
    pub fn put(&mut self, name: String, family: Family, now: Instant) {
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Question { number, name, family, since: now, given_up: false });
    }

    /// Begins with what waits, as far as there are threads; their answers come by `sender`. Returns
    /// the questions that nobody answers.
    pub fn tend<T: From<Answered> + Send + 'static>(
        &mut self,
        sender: &Sender<T>,
        now: Instant,
    ) -> Vec<(String, Family, Answer)> {
        let mut unanswered = Vec::new();
        for question in &mut self.asked {
            if !question.given_up && now.duration_since(question.since) >= LIMIT {
                question.given_up = true;
                let why = format!("no answer within {} seconds", LIMIT.as_secs());
                unanswered.push((question.name.clone(), question.family, Answer::Failed(why)));
            }
        }
        while self.asked.len() < THREADS
            && let Some(question) = self.waiting.pop_front()
        {
            match self.begin(&question, sender.clone()) {
                Ok(()) => self.asked.push(Question { since: now, ..question }),
                Err(error) => {
                    let why = format!("no thread to ask with: {error}");
                    unanswered.push((question.name, question.family, Answer::Failed(why)));
                }
            }
        }
        let over = |question: &Question| now.duration_since(question.since) >= WAITING;
        while self.waiting.front().is_some_and(over)
            && let Some(question) = self.waiting.pop_front()
        {
            let why = "too many other questions are not answered".to_owned();
            unanswered.push((question.name, question.family, Answer::Failed(why)));
        }
        unanswered
    }

    fn begin<T: From<Answered> + Send + 'static>(
        &self,
        question: &Question,
        sender: Sender<T>,
    ) -> std::io::Result<()> {
        let (ask, number) = (Arc::clone(&self.ask), question.number);
        let (name, family) = (question.name.clone(), question.family);
        let work = move || {
            let answer = ask(&name, family);
            // If nobody waits any more, nobody wants to know.
            let _ = sender.send(Answered { number, answer }.into());
        };
        thread::Builder::new().name("name".into()).spawn(work).map(drop)
    }

    /// Takes an answer. `None` if it comes too late.
    pub fn answered(&mut self, answered: Answered) -> Option<(String, Family, Answer)> {
        let place = self.asked.iter().position(|asked| asked.number == answered.number)?;
        let Question { name, family, given_up, .. } = self.asked.swap_remove(place);
        (!given_up).then_some((name, family, answered.answer))
    }

    /// Has everything been answered or given up?
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.asked.iter().all(|question| question.given_up)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn this_host_knows_itself() {
        // In /etc/hosts everywhere, or made up by nss-myhostname.
        let found = look_up("localhost", Family::V4);
        assert_eq!(found, Answer::Addresses(vec!["127.0.0.1".parse().unwrap()]));
        assert_eq!(look_up("127.0.0.1", Family::V6), Answer::Nothing);
    }

    #[test]
    fn names_of_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n# 192.0.2.1 a.example\n203.0.113.9\tb.example a.example # x\n\
                     nonsense a.example\n203.0.113.10 A.Example\n2001:db8::9 six.example\n";
        let addresses = |list: &[&str]| {
            Some(Answer::Addresses(list.iter().map(|text| text.parse().unwrap()).collect()))
        };
        for (name, v4, v6) in [
            ("a.example", addresses(&["203.0.113.9", "203.0.113.10"]), Some(Answer::Nothing)),
            ("six.example", Some(Answer::Nothing), addresses(&["2001:db8::9"])),
            ("example", None, None),
            ("x", None, None),
        ] {
            assert_eq!(listed(hosts, name, Family::V4), v4, "{name}");
            assert_eq!(listed(hosts, name, Family::V6), v6, "{name}");
        }
    }

    #[test]
    fn threads_that_hang_are_counted_and_given_up() {
        let (open, gate) = channel::<()>();
        let gate = Mutex::new(gate);
        let ask = move |name: &str, _| {
            if name.starts_with("hangs") {
                let _ = gate.lock().unwrap().recv();
            }
            Answer::Nothing
        };
        let (sender, answers) = channel::<Answered>();
        let mut lookups = Lookups::new(ask);
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        for n in 0..THREADS {
            lookups.put(format!("hangs{n}.example"), Family::V4, at(0));
        }
        lookups.put("quick.example".into(), Family::V4, at(0));
        assert!(lookups.tend(&sender, at(0)).is_empty());
        assert!(lookups.tend(&sender, at(14)).is_empty() && !lookups.is_idle());
        let given_up = lookups.tend(&sender, at(15));
        assert_eq!(given_up.len(), THREADS);
        assert_eq!(given_up[0].2, Answer::Failed("no answer within 15 seconds".into()));
        // Every thread hangs: the next question is not even asked.
        let unasked = lookups.tend(&sender, at(60));
        assert_eq!((unasked.len(), unasked[0].0.as_str()), (1, "quick.example"));
        assert!(lookups.is_idle());
        // They come back, too late; then there is room again.
        drop(open);
        for _ in 0..THREADS {
            assert_eq!(lookups.answered(answers.recv().unwrap()), None);
        }
        lookups.put("quick.example".into(), Family::V6, at(70));
        assert!(lookups.tend(&sender, at(70)).is_empty());
        let (name, family, answer) = lookups.answered(answers.recv().unwrap()).unwrap();
        assert_eq!((name.as_str(), family), ("quick.example", Family::V6));
        assert_eq!(answer, Answer::Nothing);
    }
}

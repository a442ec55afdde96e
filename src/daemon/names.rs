//! The thread that looks up the allow list's names, and what changes with an answer: the judge's
//! list, the kernel's set, and `names.json` in the state folder.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::answers::timestamp;
use super::shared::Rules;
use super::{Daemon, lock};
use crate::config::Config;
use crate::control::NameRow;
use crate::events::Level;
use crate::firewall::{Order, put_in_place};
use crate::host;
use crate::names::{Answered, Book, FILE, Lookups, News, Row, State, Trouble, What, look_up};

/// Larger than any file of so many names.
const LARGEST: u64 = 1 << 20;
/// How often it is looked what is due.
const STEP: Duration = Duration::from_millis(250);
/// Answers that are merely confirmed are saved this often.
const SAVE_EVERY: Duration = Duration::from_secs(3600);

/// The answers of an earlier run. What went wrong with them, in a sentence for the admin.
pub(super) fn restore(folder: &Path, config: &Config, now: SystemTime) -> (Book, Option<String>) {
    let mut book = Book::new(config.names.every);
    book.follow(&config.policy.allowlist.names, config.names.every, now);
    let unread = if config.policy.allowlist.names.is_empty() {
        None
    } else {
        read(folder, &mut book, now).err()
    };
    // The machine may have been off for months.
    book.expire(now);
    (book, unread)
}

fn read(folder: &Path, book: &mut Book, now: SystemTime) -> Result<(), String> {
    let path = folder.join(FILE);
    let anew = "names are unknown until they are looked up";
    let bytes = match read_bounded(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot read {}: {error}; {anew}", path.display())),
    };
    let Err(damaged) = book.restore(&bytes, now) else { return Ok(()) };
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = folder.join(format!("{FILE}.bad-{seconds}"));
    let kept = match std::fs::rename(&path, &aside) {
        Ok(()) => format!("it is kept as {}", aside.display()),
        Err(error) => format!("it cannot be moved aside ({error}) and will be overwritten"),
    };
    Err(format!("{}: {damaged}; {kept}; {anew}", path.display()))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts the addresses that are known into a policy that was just read.
pub(super) fn fill(config: &mut Config, book: &Book) {
    let allowed = &config.policy.allowlist;
    if !allowed.names.is_empty() {
        config.policy.allowlist = allowed.resolved(|name| book.addresses(name)).into();
    }
}

/// The thread.
pub(super) struct Resolver {
    sender: Sender<Message>,
    thread: JoinHandle<()>,
}

enum Message {
    Answered(Answered),
    Stop,
}

impl From<Answered> for Message {
    fn from(answered: Answered) -> Self {
        Self::Answered(answered)
    }
}

impl Resolver {
    pub(super) fn start(daemon: &Arc<Daemon>) -> io::Result<Self> {
        let daemon = Arc::clone(daemon);
        let (sender, messages) = channel();
        let own = sender.clone();
        let thread = thread::Builder::new().name("names".into()).spawn(move || {
            let mut work = Work {
                daemon,
                lookups: Lookups::new(look_up),
                sender: own,
                untold: false,
                saved: Instant::now(),
                failing: false,
            };
            loop {
                match messages.recv_timeout(STEP) {
                    Ok(Message::Answered(answered)) => work.answered(answered),
                    Err(RecvTimeoutError::Timeout) => work.look(),
                    Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            work.save();
        })?;
        Ok(Self { sender, thread })
    }

    /// Saves once more and ends. Nobody waits for questions that are on their way.
    pub(super) fn stop(self) {
        let _ = self.sender.send(Message::Stop);
        let _ = self.thread.join();
    }
}

struct Work {
    daemon: Arc<Daemon>,
    lookups: Lookups,
    sender: Sender<Message>,
    /// The firewall could not be told what the judge knows, because too many orders wait.
    untold: bool,
    saved: Instant,
    /// The last attempt to save failed, and the admin knows.
    failing: bool,
}

impl Work {
    /// Asks what is due, and does what is left to do.
    fn look(&mut self) {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let (mut news, mut changed) = (Vec::new(), false);
        {
            let state = lock(&self.daemon.state);
            let mut book = lock(&self.daemon.names);
            book.follow(&state.config.policy.allowlist.names, state.config.names.every, clock);
            news.extend(book.expire(clock));
            changed |= !news.is_empty();
            for (name, family) in book.due(clock) {
                self.lookups.put(name, family, now);
            }
            for (name, family, failed) in self.lookups.tend(&self.sender, now) {
                let (differs, told) = book.answer(&name, family, failed, clock);
                changed |= differs;
                news.extend(told);
            }
        }
        self.tell(changed, news);
        if self.untold {
            self.put_in_force();
        }
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save();
        }
    }

    fn answered(&mut self, answered: Answered) {
        let Some((name, family, answer)) = self.lookups.answered(answered) else { return };
        let (changed, news) =
            lock(&self.daemon.names).answer(&name, family, answer, SystemTime::now());
        self.tell(changed, news);
    }

    /// Puts what changed in force, and says so.
    fn tell(&mut self, changed: bool, news: Vec<News>) {
        if changed {
            self.put_in_force();
        }
        for news in &news {
            let level = match news.what {
                What::Changed { .. } | What::Well => Level::Notice,
                What::Troubled { .. } | What::Dropped { .. } => Level::Warning,
            };
            self.daemon.say(level, "names", format!("{news}{}", remedy(news)));
        }
        if changed || !news.is_empty() {
            self.save();
        }
    }

    /// Gives the judge the new list at once, then the kernel. The state is held until the order is on
    /// its way (which never waits): a reload that came between would be followed by the list of the
    /// policy before.
    fn put_in_force(&mut self) {
        let daemon = &self.daemon;
        let mut state = lock(&daemon.state);
        let mut config = Config::clone(&state.config);
        fill(&mut config, &lock(&daemon.names));
        daemon.shared.rules.store(Arc::new(Rules::new(&config)));
        let allowed = Arc::clone(&config.policy.allowlist);
        state.config = Arc::new(config);
        self.untold = !daemon.orders.tell(Order::Trust { allowed });
    }

    fn save(&mut self) {
        self.saved = Instant::now();
        let folder = lock(&self.daemon.state).config.bans.state_dir.clone();
        let bytes = {
            let book = lock(&self.daemon.names);
            if book.rows().is_empty() {
                return;
            }
            book.save()
        };
        match put_in_place(&folder, FILE, &bytes) {
            Ok(()) => self.failing = false,
            Err(_) if self.failing => {}
            Err(error) => {
                self.failing = true;
                let text = format!(
                    "cannot save the addresses of the allow list's names in {}: {error}; after a \
                     restart they are unknown until they are looked up",
                    folder.display()
                );
                self.daemon.say(Level::Warning, "names", text);
            }
        }
    }
}

/// What can be done about a name that cannot be looked up; empty where there is nothing.
fn remedy(news: &News) -> String {
    match &news.what {
        What::Troubled { trouble: Trouble::Failing(_), .. } => {
            // systemd gives every unit's processes this variable (systemd.exec(5)).
            let unit = std::env::var_os("INVOCATION_ID").is_some();
            format!(". {}", ask_for(&host::name_servers(), unit))
        }
        What::Troubled { trouble: Trouble::Refused(_), .. } => {
            ". Look at the name's entry; resolvers that block names answer so, too".to_owned()
        }
        What::Troubled { trouble: Trouble::Gone, .. } => {
            ". Correct it in [allowlist] from, or in the zone".to_owned()
        }
        _ => String::new(),
    }
}

/// What to look at when these servers do not answer. The systemd unit lets the daemon talk to nobody
/// but this host.
fn ask_for(servers: &[IpAddr], unit: bool) -> String {
    let remote: Vec<String> = servers
        .iter()
        .filter(|server| !server.to_canonical().is_loopback())
        .map(ToString::to_string)
        .collect();
    if remote.is_empty() || !unit {
        return "See that the resolver of /etc/resolv.conf answers: getent ahosts NAME".to_owned();
    }
    format!(
        "The resolver of /etc/resolv.conf is not on this host; the systemd unit lets the daemon ask \
         it only after this: systemctl edit portcullis, write [Service] and below it \
         IPAddressAllow={}, then systemctl restart portcullis",
        remote.join(" ")
    )
}

impl Daemon {
    /// How the allow list's names are.
    pub(super) fn name_rows(&self) -> Vec<NameRow> {
        let now = SystemTime::now();
        let row = |Row { name, addresses, confirmed, state }: Row| NameRow {
            name,
            addresses,
            confirmed: confirmed.map(timestamp),
            age: confirmed.map(|then| now.duration_since(then).unwrap_or_default()),
            state: match state {
                State::Good => "good",
                State::Unknown => "unknown",
                State::Failing => "failing",
                State::Gone => "gone",
            }
            .to_owned(),
        };
        lock(&self.names).rows().into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Answer, Family};
    use crate::policy::Allowlist;

    fn config() -> Config {
        let mut config = Config::default();
        let fixed = vec!["192.0.2.0/24".parse().unwrap()];
        config.policy.allowlist = Allowlist::with_names(fixed, vec!["a.example"]).into();
        config
    }

    #[test]
    fn answers_of_an_earlier_run() {
        let folder = tempfile::tempdir().unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let address: IpAddr = "203.0.113.9".parse().unwrap();
        let (mut book, unread) = restore(folder.path(), &config(), now);
        assert_eq!((book.addresses("a.example"), unread), (vec![], None));
        book.answer("a.example", Family::V4, Answer::Addresses(vec![address]), now);
        put_in_place(folder.path(), FILE, &book.save()).unwrap();

        let (book, unread) = restore(folder.path(), &config(), now + Duration::from_secs(60));
        assert_eq!((book.addresses("a.example"), unread), (vec![address], None));
        let mut filled = config();
        fill(&mut filled, &book);
        let allowed = &filled.policy.allowlist;
        assert_eq!(
            allowed.prefixes.find(address).map(|list| allowed.called(list)),
            Some("a.example")
        );
        let later = now + crate::names::STALE_FOR;
        assert!(restore(folder.path(), &config(), later).0.addresses("a.example").is_empty());

        std::fs::write(folder.path().join(FILE), "{").unwrap();
        let (book, unread) = restore(folder.path(), &config(), UNIX_EPOCH);
        assert!(book.addresses("a.example").is_empty());
        assert!(unread.unwrap().contains("names.json.bad-0"));
        assert!(folder.path().join("names.json.bad-0").exists());
        // Whoever has no names is not bothered with an old file.
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(restore(folder.path(), &Config::default(), now).1, None);
    }

    #[test]
    fn the_remedy_names_the_resolver() {
        let server = |text: &str| text.parse::<IpAddr>().unwrap();
        let servers = [server("127.0.0.53"), server("192.0.2.53"), server("2001:db8::53")];
        let told = ask_for(&servers, true);
        assert!(told.contains("IPAddressAllow=192.0.2.53 2001:db8::53, then"), "{told}");
        for told in [ask_for(&servers, false), ask_for(&servers[..1], true)] {
            assert!(told.contains("getent"), "{told}");
        }
    }
}

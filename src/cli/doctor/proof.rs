//! A real proof, in a private network on this kernel: verdicts and bans block connections to this
//! host and to hosts behind it, in both families, and nobody else is hindered.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::cli::asked;
use crate::control::{Request, Response, ask};
use crate::doctor::{Proof, Seen};
use crate::lab::{self, Host, Lab, Process, Service, Trade, Visit, visit};
use crate::memory::SourceKey;
use crate::policy::Standing;

/// For visits that shall be served: long enough for a repeated SYN.
const PATIENCE: Duration = Duration::from_millis(2500);
/// For visits that shall get nowhere: too short for a repeated SYN.
const HASTE: Duration = Duration::from_millis(400);
/// How long the gate may take to start, and an order to reach the kernel.
const LIMIT: Duration = Duration::from_secs(20);
/// How long the whole proof may take.
const WHOLE: Duration = Duration::from_secs(60);
/// Inside the lab's own /run, which vanishes with it.
const HOME: &str = "/run/portcullis";

/// Makes the proof in namespaces of its own, in another process. `redirect` is the policy's way to
/// the queue.
pub(super) fn prove(redirect: &str) -> Seen<Vec<Proof>> {
    let program = std::env::current_exe().map_err(|e| format!("finding this program: {e}"))?;
    let args = ["doctor", "--prove-here", redirect].map(Into::into);
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut command = lab::command_inside(program.as_os_str(), args)
        .map_err(|error| one_line(&error.to_string()))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command).map_err(|e| e.to_string())?;
    // Both say little, so that no pipe can fill while it is waited for.
    let ended = process.wait(WHOLE).map_err(|e| e.to_string())?;
    let mut said = [String::new(), String::new()];
    if ended.is_some() {
        let child = process.child();
        let pipes: [Option<Box<dyn io::Read>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for (pipe, text) in pipes.into_iter().zip(&mut said) {
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_string(text);
            }
        }
    }
    match ended {
        Some(status) if status.success() => {
            serde_json::from_str(&said[0]).map_err(|error| format!("{error} in {}", said[0]))
        }
        Some(_) => Err(one_line(&said[1])),
        None => Err(format!("not finished after {} s", WHOLE.as_secs())),
    }
}

/// Inside the namespaces: makes the proof and prints it.
pub(super) fn here(redirect: &str) -> ExitCode {
    match attempt(redirect) {
        Ok(proofs) => asked::show(&proofs, true, |_| String::new()),
        Err(error) => {
            asked::complain(&error.to_string());
            ExitCode::from(70)
        }
    }
}

type Broken = Box<dyn std::error::Error>;

/// A family and a place: who knocks at a closed port there, who is banned, who is not, and where all
/// of them want to go.
///
/// They go nowhere else, and are nobody else. Of whom the gate has seen at a closed port, or at two
/// services at once, it would rightly ask more than of an ordinary visitor, and how long that takes
/// depends on the machine.
struct Course {
    name: &'static str,
    knocker: IpAddr,
    banned: IpAddr,
    other: IpAddr,
    to: IpAddr,
}

impl Course {
    /// Who comes, as addresses of the visitors' host.
    fn people(&self) -> [IpNet; 3] {
        // IPv6 sources are known by their /64.
        let length = if self.to.is_ipv4() { 24 } else { 64 };
        [self.knocker, self.banned, self.other].map(|address| IpNet::new_assert(address, length))
    }
}

/// The courses to the two hosts, by their addresses.
fn courses(gate: [IpAddr; 2], inner: [IpAddr; 2]) -> Vec<Course> {
    let names = [
        ["IPv4 to this host", "IPv6 to this host"],
        ["IPv4 to hosts behind it", "IPv6 to hosts behind it"],
    ];
    let mut courses = Vec::new();
    for (row, (names, to)) in (1..).zip(names.into_iter().zip([gate, inner])) {
        for (name, to) in names.into_iter().zip(to) {
            let person = |n: u8| match to {
                IpAddr::V4(_) => Ipv4Addr::new(203, 0, 113, 10 * row + n).into(),
                IpAddr::V6(_) => {
                    Ipv6Addr::new(0x2001, 0xdb8, 7, (10 * row + n).into(), 0, 0, 0, 0x10).into()
                }
            };
            let [knocker, banned, other] = [0, 1, 2].map(person);
            courses.push(Course { name, knocker, banned, other, to });
        }
    }
    courses
}

fn attempt(redirect: &str) -> Result<Vec<Proof>, Broken> {
    let mut lab = Lab::open()?;
    let nets =
        |list: &[&str]| -> Vec<IpNet> { list.iter().filter_map(|n| n.parse().ok()).collect() };
    let gate = lab.host("gate", &nets(&["198.51.100.10/24", "2001:db8:5::10/64"]))?;
    let inner = lab.host_behind(&gate, "inner", &nets(&["10.20.0.10/24", "2001:db8:20::10/64"]))?;
    let both = |host: &Host| host.v4().zip(host.v6()).map(|(v4, v6)| [v4, v6]);
    let courses = both(&gate).zip(both(&inner)).map(|(gate, inner)| courses(gate, inner));
    let courses = courses.ok_or("a host has no address")?;
    let people: Vec<IpNet> = courses.iter().flat_map(Course::people).collect();
    let visitors = lab.host("visitors", &people)?;
    lab.ready()?;
    let web = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 80);
    let _services =
        [Service::start(&gate, web, Trade::Web)?, Service::start(&inner, web, Trade::Web)?];
    let _daemon = start(&gate, redirect)?;
    let before = all(&visitors, &courses, |course| (course.banned, 80, PATIENCE))?;
    let judged = all(&visitors, &courses, |course| (course.knocker, 81, HASTE))?;
    order(
        |net| Request::BansAdd {
            net,
            port: None,
            standing: Standing::Banned,
            lasts: Some(Duration::from_secs(600)),
            reason: "proof".into(),
        },
        &courses,
    )?;
    let banned = all(&visitors, &courses, |course| (course.banned, 80, HASTE))?;
    let others = all(&visitors, &courses, |course| (course.other, 80, PATIENCE))?;
    order(|net| Request::BansRemove { net: Some(net), port: None }, &courses)?;
    let after = all(&visitors, &courses, |course| (course.banned, 80, PATIENCE))?;

    let mut proofs = Vec::new();
    for (course, seen) in courses.iter().zip(&judged) {
        let holds = *seen == Visit::TimedOut;
        let seen = if holds { "a closed port did not answer".into() } else { words(seen) };
        proofs.push(proof(format!("the gate judges {}", course.name), holds, seen));
    }
    for (i, course) in courses.iter().enumerate() {
        let steps = [
            ("before the ban", &before[i], true),
            ("during the ban", &banned[i], false),
            ("somebody else meanwhile", &others[i], true),
            ("after the ban", &after[i], true),
        ];
        let wrong = steps.iter().find(|(_, seen, served)| match served {
            true => !seen.is_served(),
            false => **seen != Visit::TimedOut,
        });
        let seen = match wrong {
            Some((when, seen, _)) => format!("{when}: {}", words(seen)),
            None => "let in before and after, nobody else hindered".into(),
        };
        proofs.push(proof(format!("a ban blocks {}", course.name), wrong.is_none(), seen));
    }
    Ok(proofs)
}

fn proof(claim: String, holds: bool, seen: String) -> Proof {
    Proof { claim, holds, seen }
}

fn words(seen: &Visit) -> String {
    match seen {
        Visit::Served { .. } => "let in".to_owned(),
        Visit::Silent { .. } => "let in, but the service said nothing".to_owned(),
        Visit::Refused => "answered that the port is closed".to_owned(),
        Visit::TimedOut => "no answer".to_owned(),
        Visit::Failed(why) => why.clone(),
    }
}

/// One visit per course, all at once.
fn all(
    visitors: &Host,
    courses: &[Course],
    plan: impl Fn(&Course) -> (IpAddr, u16, Duration),
) -> Result<Vec<Visit>, Broken> {
    let mut running = Vec::new();
    for course in courses {
        let (from, port, patience) = plan(course);
        let to = SocketAddr::new(course.to, port);
        running.push(visitors.spawn(move || visit(from, to, patience))?);
    }
    let ended = running.into_iter().map(|thread| {
        let seen = thread.join().map_err(|_| "a visitor was lost")?;
        Ok(seen?)
    });
    ended.collect()
}

/// Gives the gate an order about each of those who are to be banned, and waits until its sets know:
/// an order that is given later is carried out later, so the answer to the last one will do.
fn order(request: impl Fn(IpNet) -> Request, courses: &[Course]) -> Result<(), Broken> {
    for course in courses {
        let net = SourceKey::of(course.banned).prefix();
        match ask(&Path::new(HOME).join("control.sock"), &request(net))? {
            Response::Done(_) => {}
            other => return Err(format!("unexpected answer: {other:?}").into()),
        }
    }
    Ok(())
}

/// Starts this very program as a daemon, and waits until it answers.
fn start(gate: &Host, redirect: &str) -> Result<Process, Broken> {
    let home = Path::new(HOME);
    fs::create_dir_all(home.join("state"))?;
    let policy = format!(
        "[ports]\nopen = \"80\"\nopen_behind = \"80\"\n[flood]\nsurplus = \"unlimited\"\n\
         [guard]\nredirect = \"{redirect}\"\nprotect = [\"10.20.0.0/24\", \"2001:db8:20::/64\"]\n\
         [queue]\nlength = 64\n[bans]\nstate_dir = \"{HOME}/state\"\n\
         [control]\nsocket = \"{HOME}/control.sock\"\n"
    );
    fs::write(home.join("policy.toml"), policy)?;
    let said = fs::File::create(home.join("said"))?;
    let mut command = gate.command(std::env::current_exe()?);
    command.args(["run", "--config"]).arg(home.join("policy.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    let mut daemon = Process::start(&mut command)?;
    let deadline = Instant::now() + LIMIT;
    while ask(&home.join("control.sock"), &Request::Status).is_err() {
        let ended = daemon.ended()?;
        if ended.is_some() || Instant::now() > deadline {
            let said = fs::read_to_string(home.join("said")).unwrap_or_default();
            return Err(format!("the gate did not start: {}", said.trim_end()).into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(daemon)
}

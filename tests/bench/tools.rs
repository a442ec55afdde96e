//! What the tools of the trade learn about a server, how soon the gate knows them, and what ordinary
//! clients feel meanwhile: a table.
//!
//!     cargo bench --bench tools [-- OPTIONS]
//!
//!     --markdown            the table as Markdown
//!     --only WORD           the rows whose name begins with it
//!     --also TOOL=PROGRAM   another zmap or masscan, beside the installed one
//!
//! Real servers (nginx, OpenSSH) and real tools in namespaces of their own, the shipped policy, and
//! for each tool an attacker with an address of its own. Every tool runs once without the gate and
//! once with it, bounded in time. `curl` fetches a page every 200 ms all the while, beginning a
//! second before the attack; `wrk` loads two open connections for two seconds. Programs that are not
//! installed are named, and their rows left out.
//!
//! It fails only if it cannot measure: what must hold is kept by the end-to-end test of the same
//! name.

use std::process::ExitCode;

use portcullis::lab::{self, Visit};

#[allow(dead_code, unused_imports, unused_macros, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/range/mod.rs"]
mod range;
#[allow(dead_code, unused_imports, unused_macros, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/stage/mod.rs"]
mod stage;

use range::{Attack, Range, Reads, Seen, Wrk, tool};
use stage::is_there;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let Some(options) = Options::read(&args) else {
        eprintln!("options: --markdown, --only WORD, --also TOOL=PROGRAM");
        return ExitCode::from(64);
    };
    if !lab::is_inside() {
        eprintln!("{}", lab::enter());
        return ExitCode::FAILURE;
    }
    let attacks: Vec<Attack> = attacks(&options)
        .into_iter()
        .filter(|attack| attack.name.starts_with(&options.only))
        .collect();
    let range = Range::new(attacks.len().try_into().unwrap_or(30));
    let mut rows = Vec::new();
    for (n, attack) in attacks.iter().enumerate() {
        if !is_there(&attack.program) {
            eprintln!(
                "LEFT OUT: {}, because {} is not installed (package {})",
                attack.name,
                attack.program.display(),
                attack.package
            );
        } else if attack.reads == Reads::Guesses && !range.has_sshd() {
            eprintln!(
                "LEFT OUT: {}, because there is no sshd (package openssh-server)",
                attack.name
            );
        } else {
            eprintln!("{} …", attack.name);
            let [without, with] = [false, true].map(|gated| range.attack(n, attack, gated, true));
            rows.push(row(attack, &without, &with));
            if std::env::var_os("VERBOSE").is_some() {
                eprintln!("{}\n{}\n{}", without.tool_said, with.tool_said, with.said);
            }
        }
    }
    print(&rows, options.markdown);
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Options {
    markdown: bool,
    only: String,
    also: Vec<(String, String)>,
}

impl Options {
    fn read(args: &[String]) -> Option<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--markdown" => options.markdown = true,
                "--only" => options.only = args.next()?.clone(),
                "--also" => {
                    let (tool, program) = args.next()?.split_once('=')?;
                    options.also.push((tool.to_owned(), program.to_owned()));
                }
                _ => return None,
            }
        }
        Some(options)
    }
}

/// At most 31, for each attacker has a network of eight addresses in one of 256.
fn attacks(options: &Options) -> Vec<Attack> {
    use Reads::{Guesses, Masscan, Nmap, Nothing, Zmap};
    const MASSCAN: &str = "masscan SERVER -p1-1000,8080 --rate 500 --wait 1 -e eth0 -oL -";
    // ZMap 2.1.1 waits for ever when it asks the kernel for its router.
    const ZMAP: &str =
        "zmap -G GATEWAY -C /dev/null -p80 -i eth0 -r 200 -c 2 -q -b /dev/null -T 1 SERVER/28";
    // Without an answer, nmap waits long before it tries again; it begins with the popular ports, among
    // which are all that are open here.
    let nmap = |name, how: &str| {
        let line = format!("nmap -n -v --max-retries 1 {how} -p1-200,8080 SERVER");
        tool(name, &line, Nmap, 60)
    };
    let slow = |name, how: &str| {
        tool(name, &format!("nmap -n -v -T2 -Pn {how} -p1-58,80,8080 SERVER"), Nmap, 40)
    };
    let mut attacks = vec![
        nmap("nmap -sS", "-sS"),
        nmap("nmap -sS -Pn", "-sS -Pn"),
        nmap("nmap -sT", "-sT"),
        nmap("nmap -sT -Pn", "-sT -Pn"),
        nmap("nmap -sF -Pn", "-sF -Pn"),
        nmap("nmap -sX -Pn", "-sX -Pn"),
        nmap("nmap -sN -Pn", "-sN -Pn"),
        slow("nmap -sS -T2 -Pn", "-sS"),
        slow("nmap -sT -T2 -Pn", "-sT"),
        nmap("nmap -sS -D -Pn", "-sS -Pn -D DECOYS,ME"),
        tool("masscan", MASSCAN, Masscan, 30),
        tool("zmap, port 80", ZMAP, Zmap(80), 30),
        tool("hping3 --flood", "hping3 -q -n -S -p 80 --flood SERVER", Nothing, 3),
        tool(
            "hping3 --flood --rand-source",
            "hping3 -q -n -S -p 80 --flood --rand-source SERVER",
            Nothing,
            3,
        ),
        tool("hydra, ssh, 15 s", "hydra -I -l root -P WORDS ssh://SERVER", Guesses, 15),
        tool("ncrack, ssh, 15 s", "ncrack --user root -P WORDS ssh://SERVER", Guesses, 15),
    ];
    for (name, program) in &options.also {
        let mut attack = match name.as_str() {
            "masscan" => tool("masscan, another", MASSCAN, Masscan, 30),
            "zmap" => tool("zmap, another, port 80", ZMAP, Zmap(80), 30),
            "zmap-linux" => {
                tool("zmap, another, as Linux", &format!("{ZMAP} --probe-args=linux"), Zmap(80), 30)
            }
            "zmap-bsd" => {
                tool("zmap, another, as BSD", &format!("{ZMAP} --probe-args=bsd"), Zmap(80), 30)
            }
            "zmap-smallest" => tool(
                "zmap, another, smallest",
                &format!("{ZMAP} --probe-args=smallest-probes"),
                Zmap(80),
                30,
            ),
            _ => {
                eprintln!("LEFT OUT: {name}, because only zmap and masscan are known here");
                continue;
            }
        };
        attack.program = program.into();
        attacks.push(attack);
    }
    attacks
}

const HEAD: [&str; 12] = [
    "tool",
    "learnt without",
    "with",
    "SYNs until known",
    "after",
    "by",
    "standing",
    "curl without: ok, median/max ms",
    "with",
    "wrk without",
    "with",
    "newcomer",
];

/// A row of the table: the cells under [`HEAD`].
fn row(attack: &Attack, without: &Seen, with: &Seen) -> [String; 12] {
    let learnt = |seen: &Seen| match attack.reads {
        Reads::Guesses => format!("{} tried", seen.guesses),
        Reads::Nothing => format!("{} sent", seen.sent),
        _ if seen.learnt.is_empty() => "none".into(),
        _ => seen.learnt.iter().map(u16::to_string).collect::<Vec<_>>().join(" "),
    };
    let flag = with.flag.as_ref();
    let never = || String::from("never");
    let knocks = |n: Option<usize>| n.map_or_else(|| "?".into(), |n| n.to_string());
    let curl = |seen: &Seen| {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let (median, longest) = (ms(seen.curl.median()), ms(seen.curl.longest()));
        format!("{}/{}, {median:.1}/{longest:.0}", seen.curl.ok, seen.curl.all)
    };
    let wrk = |seen: &Seen| {
        let Wrk { requests, failed } = seen.wrk.unwrap_or_default();
        format!("{}k, {failed} failed", requests / 1000)
    };
    let newcomer = |seen: &Seen| match &seen.newcomer {
        Visit::Served { connected, .. } => format!("{:.2} s", connected.as_secs_f64()),
        other => format!("{other:?}"),
    };
    let standing = |standing: &Option<String>| standing.clone().unwrap_or_else(|| "clean".into());
    [
        attack.name.into(),
        learnt(without),
        learnt(with),
        flag.map_or_else(never, |flag| knocks(flag.knocks)),
        flag.map_or_else(never, |flag| format!("{:.3} s", flag.after.as_secs_f64())),
        flag.map_or_else(String::new, |flag| format!("{}: {}", flag.check, flag.what)),
        standing(&with.standing),
        curl(without),
        curl(with),
        wrk(without),
        wrk(with),
        format!("{}, {}", newcomer(with), standing(&with.newcomers_standing)),
    ]
}

fn print(rows: &[[String; 12]], markdown: bool) {
    let head = HEAD.map(str::to_owned);
    if markdown {
        let line = |cells: &[String; 12]| println!("| {} |", cells.join(" | "));
        line(&head);
        line(&head.each_ref().map(|_| "---".to_owned()));
        rows.iter().for_each(line);
        return;
    }
    let mut widths = [0; 12];
    for cells in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for cells in [&head].into_iter().chain(rows) {
        let padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    }
}

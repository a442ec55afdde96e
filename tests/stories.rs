//! Stories of SYNs through the judge, read from `tests/stories/*.story`.
//!
//! A story begins with a policy, indented, and goes on with one line per SYN:
//!
//! ```text
//! TIME  SOURCE[:PORT] > DESTINATION:PORT [WORD…] -> accept
//! TIME  SOURCE[:PORT] > DESTINATION:PORT [WORD…] -> drop CHECK [earns suspect|banned|banned at port]
//! ```
//!
//! Words: `flags=SF`, `seq=N`, `ack=N`, `ttl=N`, `window=N`, `length=N`, `data=N` (bytes behind
//! the header), `bare` (no options, may be fragmented), `mss` (the same with an MSS), `tfo`,
//! `broken` (options), `proven` and `suspect` (the kernel's marks), `again` (the attempt of the
//! line before is retransmitted), `xN/SPAN` (N attempts, SPAN apart). Without a port, a source
//! uses a new one each time; with `..` behind it, each attempt comes from the next IPv4 address. Nobody
//! completes a connection. `#` starts a comment.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use portcullis::memory::{Bounds, Memory, Moment};
use portcullis::packet::{Flags, Options, Syn};
use portcullis::policy::{Decision, Policy, Ruling, Scope, Standing, judge};

#[test]
fn stories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut told = 0;
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        failures.extend(tell(&name, &text));
        told += 1;
    }
    assert!(told >= 8, "only {told} stories found");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Tells one story; returns what went otherwise than it says.
fn tell(name: &str, text: &str) -> Vec<String> {
    let is_policy =
        |line: &&str| line.starts_with("  ") || line.is_empty() || line.starts_with('#');
    let policy_text: Vec<&str> = text.lines().take_while(is_policy).collect();
    let loaded =
        portcullis::config::parse(&policy_text.join("\n"), name).unwrap_or_else(|e| panic!("{e}"));
    let mut policy = loaded.config.policy;
    let listening = portcullis::policy::PortSet::default();
    policy.ports.serve(&listening, &listening);
    let memory = Memory::repeatable(Bounds { sources: 4096, networks: 1024 });
    let mut story = Story { policy, memory, port: 20_000, forged: 0, last: None };
    let mut failures = Vec::new();
    for (number, line) in text.lines().enumerate().skip(policy_text.len()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if let Err(wrong) = story.line(line) {
            failures.push(format!("{name}:{}: {line}\n    {wrong}", number + 1));
        }
    }
    failures
}

struct Story {
    policy: Policy,
    memory: Memory,
    port: u16,
    forged: u32,
    last: Option<Syn>,
}

impl Story {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let (event, expected) = line.split_once("->").ok_or("no ->")?;
        let mut words = event.split_whitespace();
        let mut time = span(words.next().ok_or("no time")?)?;
        let source = words.next().ok_or("no source")?;
        words.next().filter(|arrow| *arrow == ">").ok_or("no >")?;
        let target: SocketAddr =
            words.next().ok_or("no target")?.parse().map_err(|e| format!("target: {e}"))?;
        let words: Vec<&str> = words.collect();

        let (mut times, mut apart) = (1, Duration::ZERO);
        for word in &words {
            if let Some((n, span_text)) =
                word.strip_prefix('x').and_then(|rest| rest.split_once('/'))
            {
                (times, apart) = (n.parse().map_err(|e| format!("{word}: {e}"))?, span(span_text)?);
            }
        }
        for n in 0..times {
            let syn = self.syn(source, target, &words)?;
            self.last = Some(syn);
            let now = Moment(1_000_000_000) + time;
            let decision = judge(&self.policy, &self.memory, &syn, now);
            let said = describe(&decision);
            if said != expected.trim() {
                return Err(format!("attempt {}: {said} ({:?})", n + 1, decision.evidence));
            }
            time += apart;
        }
        Ok(())
    }

    fn syn(&mut self, source: &str, target: SocketAddr, words: &[&str]) -> Result<Syn, String> {
        let again = words.contains(&"again").then_some(self.last).flatten();
        if let Some(syn) = again {
            let marks = (words.contains(&"proven"), words.contains(&"suspect"));
            return Ok(Syn { proven: marks.0, suspect: marks.1, ..syn });
        }
        let next = source.strip_suffix("..").map(|first| {
            self.port = self.port.wrapping_add(1);
            self.forged += 1;
            let first = first.parse::<Ipv4Addr>().map_err(|e| format!("{source}: {e}"))?;
            Ok::<_, String>(SocketAddr::from((
                Ipv4Addr::from_bits(first.to_bits() + self.forged),
                self.port,
            )))
        });
        let next = next.transpose()?.map(|next| next.to_string());
        let source = next.as_deref().unwrap_or(source);
        let (src, sport) = match source.parse::<SocketAddr>() {
            Ok(both) => (both.ip(), both.port()),
            Err(_) => {
                self.port += 1;
                (source.parse::<IpAddr>().map_err(|e| format!("{source}: {e}"))?, self.port)
            }
        };
        let mut syn = Syn {
            seq: u32::from(sport) * 7919,
            ttl: 57,
            proven: words.contains(&"proven"),
            suspect: words.contains(&"suspect"),
            ..Syn::linux(SocketAddr::new(src, sport), target)
        };
        syn.options.fast_open = words.contains(&"tfo");
        syn.options.malformed = words.contains(&"broken");
        if words.contains(&"bare") || words.contains(&"mss") {
            let mss = words.contains(&"mss");
            syn.options = match mss {
                true => Options { layout: 2, mss: Some(1460), length: 4, ..Options::default() },
                false => Options::default(),
            };
            syn.length = if mss { 44 } else { 40 };
            syn.dont_fragment = false;
        }
        for (key, value) in words.iter().filter_map(|word| word.split_once('=')) {
            let number = || value.parse::<u32>().map_err(|e| format!("{key}={value}: {e}"));
            match key {
                "flags" => syn.flags = flags(value)?,
                "seq" => syn.seq = number()?,
                "ack" => syn.ack = number()?,
                "window" => syn.window = number()? as u16,
                "ttl" => syn.ttl = number()? as u8,
                "length" => syn.length = number()?,
                "data" => {
                    syn.payload = number()?;
                    syn.length += syn.payload;
                }
                _ => return Err(format!("unknown word {key}")),
            }
        }
        Ok(syn)
    }
}

fn flags(letters: &str) -> Result<Flags, String> {
    letters.chars().try_fold(Flags(0), |flags, letter| {
        let bit = match letter {
            'S' => Flags::SYN,
            'F' => Flags::FIN,
            'R' => Flags::RST,
            'P' => Flags::PSH,
            'U' => Flags::URG,
            'E' => Flags::ECE,
            'C' => Flags::CWR,
            '-' => 0,
            other => return Err(format!("unknown flag {other}")),
        };
        Ok(Flags(flags.0 | bit))
    })
}

fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).ok_or("no unit")?);
    let number: f64 = number.parse().map_err(|e| format!("{text}: {e}"))?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit {unit}")),
    };
    Ok(Duration::from_secs_f64(number * seconds))
}

fn describe(decision: &Decision) -> String {
    let mut said = match decision.ruling {
        Ruling::Accept => "accept".to_owned(),
        Ruling::Drop => format!("drop {}", decision.check.name()),
    };
    if decision.earned != Standing::Clean {
        said += " earns ";
        said += decision.earned.word();
        if decision.scope == Scope::Port {
            said += " at port";
        }
    }
    if decision.renew {
        said += " to be proven anew";
    }
    said
}

//! How SYNs get into the queue: by nft's `queue` statement, or by one rule each of iptables and
//! ip6tables where the kernel lacks it.
//!
//! The iptables rule stands *last* in `mangle PREROUTING`: an accept verdict from the queue skips
//! what follows in that chain, and so skips nobody's rule. What an admin accepts earlier in that
//! chain is not judged.

use std::path::{Path as FilePath, PathBuf};

use super::child::{OwnTools, Stamp, Tool, ToolError};
use super::names::{FAMILIES, Family};
use super::nft::Nft;
use super::phrases as say;
use super::ruleset::{Marks, Path, Spread, bypass};
use super::transaction;
use crate::config::{Config, Redirect};

/// No way into the queue was found.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// The kernel refused nft's queue statement, and nothing else was allowed.
    #[error(
        "the kernel does not take nft's queue statement ({0}). Set guard.redirect = \"iptables\" or \"auto\", or load it: modprobe nft_queue"
    )]
    Nft(ToolError),
    /// The table could not be installed.
    #[error(
        "the table inet portcullis cannot be installed: {0}. The gate needs root, or CAP_NET_ADMIN"
    )]
    Table(ToolError),
    /// The variant of iptables wants more than the gate's service has.
    #[error(
        "the redirect by iptables failed: {0}. This is iptables' legacy variant, which needs CAP_NET_RAW besides \
         CAP_NET_ADMIN. Take the other one: update-alternatives --set iptables /usr/sbin/iptables-nft (and the same \
         for ip6tables); or add CAP_NET_RAW to both lines of capabilities in the systemd unit"
    )]
    Legacy(ToolError),
    /// iptables did not work.
    #[error("the redirect by iptables failed: {0}")]
    Iptables(ToolError),
}

impl RedirectError {
    /// What the failure of iptables comes from.
    pub(super) fn of_iptables(error: ToolError) -> Self {
        match &error {
            ToolError::Refused { complaint, .. }
                if complaint.contains("(legacy)") && complaint.contains("Permission denied") =>
            {
                Self::Legacy(error)
            }
            _ => Self::Iptables(error),
        }
    }
}

/// The comment by which our rules are known.
const COMMENT: &str = "portcullis";

/// Our rule, of which iptables and ip6tables have one each.
///
/// Only what was read as such a rule whole is ever given back to iptables, and then written anew:
/// a rule of others whose comment looks like a piece of ours must not become arguments, of which
/// one may name a program to be run (`--modprobe`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// The mark bit of packets to be judged.
    judge: u32,
    first: u16,
    last: u16,
    /// Packets pass while nobody listens.
    skip: bool,
}

impl Rule {
    /// The one that `config` asks for.
    pub(super) fn of(config: &Config) -> Self {
        let (first, count) = (config.queue.number, config.queue.threads);
        let last = first.saturating_add(count.saturating_sub(1));
        Self {
            judge: Marks::from_bit(config.guard.mark_bit).judge,
            first,
            last,
            skip: bypass(config),
        }
    }

    /// From a line of `iptables -S`; `None` if it is anything but a rule of ours.
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["-A", "PREROUTING", "-p", "tcp", "-m", "mark", "--mark", mark, rest @ ..] = &words[..]
        else {
            return None;
        };
        let ["-m", "comment", "--comment", comment, "-j", "NFQUEUE", queue, numbers, rest @ ..] =
            rest
        else {
            return None;
        };
        let hexadecimal = |text: &str| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        let (mark, mask) = mark.split_once('/')?;
        let judge = hexadecimal(mark).filter(|mark| Some(*mark) == hexadecimal(mask))?;
        let (first, last) = match *queue {
            "--queue-num" => (numbers.parse().ok()?, numbers.parse().ok()?),
            "--queue-balance" => {
                let (first, last) = numbers.split_once(':')?;
                (first.parse().ok()?, last.parse().ok()?)
            }
            _ => return None,
        };
        let skip = match rest {
            [] => false,
            ["--queue-bypass"] => true,
            _ => return None,
        };
        (comment.trim_matches('"') == COMMENT && first <= last).then_some(Self {
            judge,
            first,
            last,
            skip,
        })
    }

    /// As arguments behind `-A PREROUTING` or `-D PREROUTING`.
    fn words(self) -> Vec<String> {
        let Self { judge, first, last, skip } = self;
        let target = if last > first {
            format!("--queue-balance {first}:{last}")
        } else {
            format!("--queue-num {first}")
        };
        let skip = if skip { " --queue-bypass" } else { "" };
        let rule = format!(
            "-p tcp -m mark --mark {judge:#x}/{judge:#x} -m comment --comment {COMMENT} -j NFQUEUE {target}{skip}"
        );
        rule.split(' ').map(str::to_owned).collect()
    }
}

/// The commands that an admin would type.
pub fn iptables_commands(config: &Config) -> Vec<String> {
    let rule = Rule::of(config).words().join(" ");
    ["iptables", "ip6tables"].map(|tool| format!("{tool} -w -t mangle -A PREROUTING {rule}")).into()
}

/// Which nft form does the kernel take? Only asks; nothing is left behind.
fn nft_path(config: &Config, nft: &Nft) -> Result<Path, ToolError> {
    let (first, count) = (config.queue.number, config.queue.threads);
    let skip = bypass(config);
    if count > 1 {
        let hashed =
            FAMILIES.map(|f| vec![say::family_is(f), say::queue_by_source(f, first, count, skip)]);
        if nft.check(&transaction::trial(&hashed)).is_ok() {
            return Ok(Path::Nft(Spread::BySource));
        }
    }
    nft.check(&transaction::trial(&[vec![say::queue(first, count, skip)]]))?;
    Ok(Path::Nft(Spread::ByPair))
}

/// Decides for a way. `Auto` prefers nft and falls back to iptables. Returns besides whether it would
/// be the same way again: not if nft could not tell, for whatever reason.
pub(super) fn choose(config: &Config, nft: &Nft) -> Result<(Path, bool), RedirectError> {
    match config.guard.redirect {
        Redirect::Manual => Ok((Path::Manual, true)),
        Redirect::Iptables => Ok((Path::Iptables, true)),
        Redirect::Nft => nft_path(config, nft).map(|path| (path, true)).map_err(RedirectError::Nft),
        Redirect::Auto => Ok(match nft_path(config, nft) {
            Ok(path) => (path, true),
            Err(error) => (Path::Iptables, matches!(error, ToolError::Refused { .. })),
        }),
    }
}

/// Where iptables' legacy variant keeps its lock.
pub(super) const LOCK: &str = "/run/xtables.lock";

/// Can this lock file be used? It is made if it is missing.
pub(super) fn is_lockable(path: &FilePath) -> bool {
    std::fs::OpenOptions::new().append(true).create(true).open(path).is_ok()
}

/// May there be mangle rules of the legacy variant? Asking itself would load its modules; where it
/// has no mangle table, it has no rules.
pub(super) fn has_legacy_rules() -> bool {
    ["ip_tables_names", "ip6_tables_names"].iter().any(|names| {
        let names = std::fs::read_to_string(FilePath::new("/proc/self/net").join(names));
        names.is_ok_and(|names| names.lines().any(|name| name == "mangle"))
    })
}

/// iptables and ip6tables, of one variant.
#[derive(Clone, Debug)]
pub(super) struct Iptables {
    /// The name of the first: `iptables`, `iptables-nft`, `iptables-legacy`.
    name: &'static str,
    tools: Vec<(Family, Tool)>,
    /// What files they were when they were found.
    stamps: Vec<Option<Stamp>>,
}

impl Iptables {
    /// Finds the tools. Without IPv6 in the kernel, ip6tables is not needed. `folder` is for the
    /// lock file of the legacy variant, where its usual place cannot be written.
    pub(super) fn find(own: &OwnTools, folder: &FilePath) -> Result<Self, ToolError> {
        Self::named(["iptables", "ip6tables"], own, folder)
    }

    /// Every variant that may hold rules of ours, by whatever name: somebody may have changed
    /// which one is called `iptables` since.
    pub(super) fn variants(own: &OwnTools, folder: &FilePath) -> Vec<Self> {
        let find = |names| Self::named(names, own, folder);
        let nft = find(["iptables-nft", "ip6tables-nft"]).ok();
        let legacy = find(["iptables-legacy", "ip6tables-legacy"]).ok();
        let legacy = legacy.filter(|_| has_legacy_rules());
        let plain = match (&nft, &legacy) {
            (Some(_), _) | (_, Some(_)) => None,
            (None, None) => Self::find(own, folder).ok(),
        };
        [nft, legacy, plain].into_iter().flatten().collect()
    }

    fn named(
        names: [&'static str; 2],
        own: &OwnTools,
        folder: &FilePath,
    ) -> Result<Self, ToolError> {
        let lock: Option<PathBuf> =
            (!is_lockable(FilePath::new(LOCK))).then(|| folder.join("xtables.lock"));
        let mut tools = Vec::new();
        for family in FAMILIES {
            let name = if family == Family::V4 { names[0] } else { names[1] };
            // Not /proc/net: the systemd unit shows the daemon nothing of /proc but processes.
            if family == Family::V6 && !FilePath::new("/proc/self/net/if_inet6").exists() {
                continue;
            }
            let mut tool = Tool::find(name, "iptables", own.clone())?;
            if let Some(lock) = &lock {
                tool = tool.with("XTABLES_LOCKFILE", lock.clone());
            }
            tools.push((family, tool));
        }
        let stamps = stamps(&tools);
        Ok(Self { name: names[0], tools, stamps })
    }

    /// Are they the same programs still?
    pub(super) fn are_as_found(&self) -> bool {
        stamps(&self.tools) == self.stamps
    }

    /// What the tools are called, by the first of them.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, tool: &Tool, arguments: &[&str]) -> Result<String, ToolError> {
        let arguments: Vec<&str> =
            ["-w", "5", "-t", "mangle"].iter().chain(arguments).copied().collect();
        let out = tool.run(&arguments, b"")?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// `iptables v1.8.9 (nf_tables)`: which variant each of them is.
    pub(super) fn versions(&self) -> Vec<String> {
        let of = |(_, tool): &(Family, Tool)| {
            let out = tool.run(&["--version"], b"").unwrap_or_default();
            String::from_utf8_lossy(&out).trim().to_owned()
        };
        self.tools.iter().map(of).collect()
    }

    /// Our rules in PREROUTING.
    fn ours(&self, tool: &Tool) -> Result<Vec<Rule>, ToolError> {
        Ok(self.run(tool, &["-S", "PREROUTING"])?.lines().filter_map(Rule::read).collect())
    }

    /// Puts the rules in, and takes older ones of ours out. Does nothing if all is as it should be.
    /// Returns how many changes were to be made.
    pub(super) fn install(&self, wanted: Rule) -> Result<u32, ToolError> {
        let mut done = 0;
        for (_, tool) in &self.tools {
            let ours = self.ours(tool)?;
            let keep = ours.iter().position(|rule| *rule == wanted);
            if keep.is_none() {
                self.change(tool, "-A", wanted)?;
                done += 1;
            }
            for (i, rule) in ours.iter().enumerate() {
                if Some(i) != keep {
                    self.change(tool, "-D", *rule)?;
                    done += 1;
                }
            }
        }
        Ok(done)
    }

    /// Takes all our rules out. Returns how many there were.
    pub(super) fn remove(&self) -> Result<u32, ToolError> {
        let mut removed = 0;
        for (_, tool) in &self.tools {
            for rule in self.ours(tool)? {
                self.change(tool, "-D", rule)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn change(&self, tool: &Tool, how: &str, rule: Rule) -> Result<(), ToolError> {
        let words = rule.words();
        let arguments: Vec<&str> =
            [how, "PREROUTING"].into_iter().chain(words.iter().map(String::as_str)).collect();
        self.run(tool, &arguments).map(drop)
    }
}

fn stamps(tools: &[(Family, Tool)]) -> Vec<Option<Stamp>> {
    tools.iter().map(|(_, tool)| tool.stamp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FailMode;

    #[test]
    fn what_the_legacy_variant_lacks_is_said() {
        for (complaint, remedy) in [
            (
                "iptables v1.8.9 (legacy): can't initialize iptables table `mangle': Permission denied (you must be root)",
                true,
            ),
            ("iptables v1.8.9 (legacy): unknown option", false),
            (
                "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied",
                false,
            ),
        ] {
            let error = ToolError::Refused { tool: "iptables", complaint: complaint.into() };
            let said = RedirectError::of_iptables(error).to_string();
            assert_eq!(said.contains("update-alternatives --set iptables"), remedy, "{said}");
            assert!(said.contains(complaint), "{said}");
        }
    }

    #[test]
    fn a_rule_is_read_as_it_is_written_and_no_other_is() {
        let written = |rule: Rule| format!("-A PREROUTING {}", rule.words().join(" "));
        let one = Rule { judge: 0x4000_0000, first: 7, last: 7, skip: true };
        for rule in [one, Rule { skip: false, ..one }, Rule { first: 7, last: 10, judge: 4, ..one }]
        {
            assert_eq!(Rule::read(&written(rule)), Some(rule));
        }
        // As older versions of iptables print a comment.
        let quoted = written(one).replace("--comment portcullis", "--comment \"portcullis\"");
        assert_eq!(Rule::read(&quoted), Some(one));
        let ours = "-p tcp -m mark --mark 0x4/0x4 -m comment --comment portcullis -j NFQUEUE --queue-num 7";
        for others in [
            String::new(),
            "-P PREROUTING ACCEPT".to_owned(),
            format!("-A OUTPUT {ours}"),
            format!("-A PREROUTING {ours} --queue-bypass --modprobe=/tmp/evil"),
            format!("-A PREROUTING {ours} --modprobe=/tmp/evil"),
            format!("-A PREROUTING -i eth0 {ours}"),
            format!("-A PREROUTING {}", ours.replace("portcullis", "other")),
            format!("-A PREROUTING {}", ours.replace("0x4/0x4", "0x4/0xff")),
            format!("-A PREROUTING {}", ours.replace("0x4/0x4", "0x4/$(reboot)")),
            format!("-A PREROUTING {}", ours.replace(" 7", " 7;reboot")),
            format!("-A PREROUTING {}", ours.replace(" 7", " 70000")),
            // All of it stands in a comment of somebody else's.
            format!(
                "-A PREROUTING -m comment --comment \"x {ours} --modprobe=/tmp/evil\" -j ACCEPT"
            ),
            "-A PREROUTING -m comment --comment \"x --comment portcullis --modprobe=/tmp/evil\""
                .to_owned(),
        ] {
            assert_eq!(Rule::read(&others), None, "{others}");
        }
    }

    proptest::proptest! {
        /// Whatever iptables prints, what goes back to it are words of ours and numbers.
        #[test]
        fn no_text_of_others_becomes_an_argument(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "-A", "PREROUTING", "-p", "tcp", "-m", "mark", "--mark", "0x4/0x4", "comment",
                "--comment", "portcullis", "\"portcullis\"", "-j", "NFQUEUE", "--queue-num", "7",
                "--queue-balance", "7:9", "--queue-bypass", "--modprobe=/x", "\"", "$(x)", ";", "\0", "é",
            ]), 0..24),
            text in ".{0,80}",
            at in 0usize..24,
        ) {
            let mut words: Vec<&str> = pieces;
            let rule = Rule { judge: 4, first: 7, last: 9, skip: true };
            let own = rule.words();
            if at % 2 == 0 {
                words = ["-A", "PREROUTING"].into_iter().chain(own.iter().map(String::as_str)).collect();
            }
            words.insert(at.min(words.len()), &text);
            if let Some(read) = Rule::read(&words.join(" ")) {
                let known = |word: &String| {
                    own.contains(word) || word == "--queue-num"
                        || word.chars().all(|c| c.is_ascii_hexdigit() || ":x/".contains(c))
                };
                proptest::prop_assert!(read.words().iter().all(known), "{read:?}");
            }
        }
    }

    #[test]
    fn rules_of_iptables() {
        let mut config = Config::default();
        let one = iptables_commands(&config);
        assert_eq!(
            one[0],
            "iptables -w -t mangle -A PREROUTING -p tcp -m mark --mark 0x40000000/0x40000000 \
             -m comment --comment portcullis -j NFQUEUE --queue-num 7 --queue-bypass"
        );
        assert!(one[1].starts_with("ip6tables "));
        config.queue.threads = 4;
        config.guard.when_down = FailMode::Drop;
        config.guard.mark_bit = 0;
        let four = iptables_commands(&config);
        assert!(four[0].contains("--mark 0x4/0x4 "), "{}", four[0]);
        assert!(four[0].ends_with("-j NFQUEUE --queue-balance 7:10"), "{}", four[0]);
    }
}

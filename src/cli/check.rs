//! `portcullis check`: is this policy good?

mod live;
mod resolve;

use std::fmt::{self, Display};
use std::path::Path;
use std::process::ExitCode;

pub use self::live::Live;
use crate::config::{self, Config, ConfigErrors, Loaded, Mode, Redirect};
use crate::policy::Allowlist;

/// EX_NOINPUT of sysexits: the policy file is missing.
const NO_INPUT: u8 = 66;
/// EX_CONFIG of sysexits: the policy has mistakes.
const BAD_CONFIG: u8 = 78;

/// EX_NOHOST of sysexits: a name stands for nothing.
const NO_HOST: u8 = 68;

/// Checks the policy at `path`. A good one is summed up on standard output, unless that is to be
/// `quiet`; the exit code is 0. To `resolve` looks the allow list's names up too: the exit code is
/// 68 if one of them stands for nothing now, although the policy is good.
/// All mistakes of a bad one go to standard error; the exit code is 78, or 66 if there is no file.
///
/// With `--live`, a good one is also held against the sessions that are open now; the exit code is
/// 1 if it would cut one off.
pub fn run(path: &Path, quiet: bool, resolve: bool, live: &Live) -> ExitCode {
    match config::load(path) {
        Ok(loaded) if live.is_wanted() => live.look(path, &loaded, quiet),
        Ok(loaded) => {
            if !quiet {
                super::asked::print(&Summary { path, loaded: &loaded }.to_string());
            }
            if resolve { look_up(&loaded.config, quiet) } else { ExitCode::SUCCESS }
        }
        Err(errors) => {
            eprintln!("{errors}");
            eprintln!("\n{}", verdict(&errors));
            ExitCode::from(exit_code(&errors))
        }
    }
}

/// Says who the names are, or only those that are nobody.
fn look_up(config: &Config, quiet: bool) -> ExitCode {
    let (text, all) = resolve::resolve(config);
    match (text.is_empty(), all) {
        (true, _) if !quiet => println!("There are no names in the allow list."),
        (false, true) if !quiet => print!("Names in the allow list\n{text}"),
        (false, false) => eprint!("Names in the allow list\n{text}"),
        _ => {}
    }
    if all { ExitCode::SUCCESS } else { ExitCode::from(NO_HOST) }
}

fn exit_code(errors: &ConfigErrors) -> u8 {
    if errors.missing { NO_INPUT } else { BAD_CONFIG }
}

fn verdict(errors: &ConfigErrors) -> String {
    match errors.problems.len() {
        1 => "1 mistake: this policy will not be used".into(),
        n => format!("{} mistakes: this policy will not be used", grouped(n)),
    }
}

/// What a good policy will do, in a few lines.
struct Summary<'a> {
    path: &'a Path,
    loaded: &'a Loaded,
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loaded { config, warnings, files } = self.loaded;
        for warning in warnings {
            writeln!(f, "warning: {warning}\n")?;
        }
        let others = match files.len().saturating_sub(1) {
            0 => String::new(),
            1 => " and 1 more file".into(),
            n => format!(" and {n} more files"),
        };
        writeln!(f, "{}{others}: the policy is good", self.path.display())?;
        let mut row = |name: &str, value: &dyn Display| writeln!(f, "  {name:<9} {value}");
        row("mode", &mode(config.mode))?;
        row("redirect", &redirect(config))?;
        row("served", &served(config))?;
        if !config.guard.protect.is_empty() {
            row("behind", &behind(config))?;
        }
        row("allowed", &allowed(&config.policy.allowlist))?;
        row("denied", &denied(config))?;
        row("state", &config.bans.state_dir.display())
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce: what is refused is dropped",
        Mode::Observe => "observe: everything passes, and what would be dropped is told",
    }
}

fn redirect(config: &Config) -> String {
    let (first, threads) = (config.queue.number, config.queue.threads);
    let queues = match threads {
        1 => format!("queue {first}"),
        _ => format!("queues {first} to {}", u32::from(first) + u32::from(threads) - 1),
    };
    let how = match config.guard.redirect {
        Redirect::Auto => "auto (nft, or else iptables)",
        Redirect::Nft => "nft",
        Redirect::Iptables => "iptables",
        Redirect::Manual => "manual (you place the rule; `portcullis rules` prints it)",
    };
    format!("{how}, {queues}")
}

fn served(config: &Config) -> String {
    let ports = &config.policy.ports;
    let open = match (ports.any, ports.listening, ports.open.is_empty()) {
        (true, ..) => "every port".into(),
        (false, true, true) => "the ports that listen".into(),
        (false, true, false) => format!("the ports that listen, and {}", ports.open),
        (false, false, true) => "no port at all".into(),
        (false, false, false) => ports.open.to_string(),
    };
    match ports.only_from.len() {
        0 => open,
        1 => format!("{open}; one entry for chosen sources only"),
        n => format!("{open}; {n} entries for chosen sources only"),
    }
}

fn behind(config: &Config) -> String {
    let ports = match &config.policy.ports.open_behind {
        None => "every port".into(),
        Some(ports) => ports.to_string(),
    };
    let nets: Vec<String> = config.guard.protect.iter().map(ToString::to_string).collect();
    format!("{ports} of {}", nets.join(", "))
}

fn denied(config: &Config) -> String {
    let denied = &config.policy.denylist;
    match denied.lists.len() {
        0 | 1 => prefixes(denied.prefixes.len()),
        n => format!(
            "{} from {n} lists: {}",
            prefixes(denied.prefixes.len()),
            denied.lists.join(", ")
        ),
    }
}

fn allowed(list: &Allowlist) -> String {
    let names = match list.names.len() {
        1 => "1 name".to_owned(),
        n => format!("{n} names"),
    };
    match (list.prefixes.len(), list.names.is_empty()) {
        (count, true) => prefixes(count),
        (0, false) => names,
        (count, false) => format!("{}, {names}", prefixes(count)),
    }
}

fn prefixes(count: usize) -> String {
    match count {
        0 => "nobody by name".into(),
        1 => "1 prefix".into(),
        n => format!("{} prefixes", grouped(n)),
    }
}

/// A number with commas between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: &str) -> String {
        let loaded = config::parse(text, "p.toml").unwrap_or_else(|errors| panic!("{errors}"));
        Summary { path: Path::new("p.toml"), loaded: &loaded }.to_string()
    }

    #[test]
    fn sums_up() {
        let default = summary("");
        for part in [
            "p.toml: the policy is good\n",
            "enforce: ",
            "auto (nft, or else iptables), queue 7\n",
            "the ports that listen\n",
            "nobody by name\n",
        ] {
            assert!(default.contains(part), "{part} is not in {default}");
        }
        let gateway = summary(include_str!("../../config/gateway.toml"));
        for part in ["queues 7 to 8", "8080, 8443; one entry", "443, 993 of 198.51.100.0/24, 2001:"]
        {
            assert!(gateway.contains(part), "{part} is not in {gateway}");
        }
        assert!(summary("[ports]\nopen = \"\"").starts_with("warning: p.toml:2:8: no port"));
    }

    #[test]
    fn a_missing_file_is_not_a_bad_one() {
        let missing = config::load(Path::new("/nonexistent/policy.toml")).unwrap_err();
        let bad = config::parse("mode = 1\nx = 2", "p.toml").unwrap_err();
        assert_eq!((exit_code(&missing), exit_code(&bad)), (66, 78));
        assert!(verdict(&missing).starts_with("1 mistake:"));
        assert!(verdict(&bad).starts_with("2 mistakes:"));
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}

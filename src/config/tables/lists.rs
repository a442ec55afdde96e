//! `[allowlist]` and `[denylist]`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::{DAY, intern};
use crate::config::lists;
use crate::config::problem::Problem;
use crate::config::section::Section;
use crate::config::settings::Names;
use crate::config::source::Place;
use crate::config::units::Mistake;
use crate::policy::{Allowlist, Denylist, PrefixSet};

/// The name of the list that stands in the policy itself.
const INLINE: &str = "policy";

/// The most names that are looked up.
const MOST_NAMES: usize = 64;

/// The allow list, how its names are looked up, and its prefixes one by one.
pub(super) fn allowlist(table: &mut Section<'_, '_>) -> (Allowlist, Names, Vec<(IpNet, Place)>) {
    let (nets, found) = table.nets_and_names("from");
    let default = Names::default();
    let range = Duration::from_secs(1)..=DAY;
    let every = table.duration("look_up_every", default.every, range);
    let mut names: Vec<&'static str> = Vec::new();
    for (name, place) in found {
        if names.contains(&name.as_str()) {
            continue;
        }
        if names.len() == MOST_NAMES {
            let message = format!("more than {MOST_NAMES} names cannot be looked up");
            let help = "write addresses for those that have fixed ones";
            table.findings.error(&place, Mistake::new(message).help(help));
            break;
        }
        names.push(intern(&name));
    }
    let list = Allowlist::with_names(nets.iter().map(|(net, _)| *net).collect(), names);
    if list.in_kernel().len() < list.nets.len() {
        let (count, most) = (list.nets.len(), Allowlist::KERNEL_LIMIT);
        let message = format!(
            "{count} trusted prefixes are more than the kernel is told ({most}): they are let in, \
             but [guard] ceiling and [queue] max_rate hold for them too"
        );
        let help = "write fewer, wider prefixes, or raise the ceiling";
        table.warn(&["from"], Mistake::new(message).help(help));
    }
    (list, Names { every }, nets)
}

/// A deny list and how it came about.
#[derive(Default)]
pub(super) struct Denied {
    pub(super) list: Denylist,
    /// The files that were read.
    pub(super) files: Vec<PathBuf>,
    /// What is wrong with their lines.
    pub(super) bad_lines: Vec<Problem>,
}

/// Reads the inline list and the files; warns of prefixes that the allow list names too.
pub(super) fn denylist(table: &mut Section<'_, '_>, trusted: &[(IpNet, Place)]) -> Denied {
    let inline = table.nets("from");
    let files = table.files("files");
    let mut denied = Denied::default();
    if inline.is_empty() && files.is_empty() {
        return denied;
    }
    warn_of_contradictions(table, &inline, trusted);
    denied.list.lists.push(INLINE);
    let mut nets: Vec<(IpNet, u16)> = inline.into_iter().map(|(net, _)| (net, 0)).collect();
    for (path, place) in files {
        let Ok(number) = u16::try_from(denied.list.lists.len()) else {
            table.findings.error(&place, Mistake::new("more than 65535 list files"));
            break;
        };
        match lists::read(&path, number, &mut nets) {
            Ok(problems) => {
                denied.bad_lines.extend(problems);
                denied.list.lists.push(list_name(&path));
                denied.files.push(path);
            }
            Err(error) => {
                let message = format!("the list {} cannot be read: {error}", path.display());
                let help = "check the path, and that the daemon's user may read it";
                table.findings.error(&place, Mistake::new(message).help(help));
            }
        }
    }
    denied.list.prefixes = PrefixSet::new(nets);
    denied
}

fn list_name(path: &Path) -> &'static str {
    intern(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

fn warn_of_contradictions(
    table: &mut Section<'_, '_>,
    denied: &[(IpNet, Place)],
    trusted: &[(IpNet, Place)],
) {
    let trusted: HashSet<IpNet> = trusted.iter().map(|(net, _)| *net).collect();
    // A word stands for several prefixes, all in one place: one warning is enough.
    let mut told: Option<&Place> = None;
    for (net, place) in denied.iter().filter(|(net, _)| trusted.contains(net)) {
        if told != Some(place) {
            let message = format!("{net} is in the allow list too, and the allow list wins");
            let help = "take it out of one of the two lists";
            table.findings.warn(place, Mistake::new(message).help(help));
            told = Some(place);
        }
    }
}

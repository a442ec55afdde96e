//! What the daemon locks itself up with, and what it says of that. See [`crate::confine`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Daemon;
use crate::config::Config;
use crate::confine::{Confinement, Needs, confine};
use crate::control::{self, ConfinedFacts};
use crate::events::Level;
use crate::firewall::{Programs, programs};

/// Gives up what this policy does not need. To be called while there is one thread.
pub(super) fn enter(
    config: &Config,
    files: &[PathBuf],
) -> Result<Confinement, control::StartError> {
    // Its folder has to be there, or nothing could be made in it.
    let group = control::prepare(&config.control.socket, config.control.group.as_deref())?;
    if !config.daemon.confine {
        return Ok(Confinement::none("the policy says [daemon] confine = false"));
    }
    if let Some(group) = group {
        // A file may be given to a group that one is in; later there is no right to give it to others.
        // Who is in it already, or may not join, goes on as he is.
        let _ = join(group);
    }
    let manager = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    Ok(confine(&needs(config, files, programs(), &manager)))
}

fn join(group: u32) -> Result<(), Errno> {
    let group = rustix::process::Gid::from_raw(group);
    let mut groups = rustix::process::getgroups()?;
    if groups.contains(&group) || rustix::process::getegid() == group {
        return Ok(());
    }
    groups.push(group);
    rustix::thread::set_thread_groups(&groups)
}

/// What a daemon with this policy goes on needing.
fn needs(config: &Config, files: &[PathBuf], programs: Programs, manager: &str) -> Needs {
    let Programs { paths, lock, legacy } = programs;
    let folder = |file: &PathBuf| file.parent().map(Path::to_owned);
    let folders = [Some(config.bans.state_dir.clone()), config.capture.dir.clone()].into_iter();
    let folders = folders.chain([config.events.json.as_ref().and_then(folder)]).chain([config
        .metrics
        .textfile
        .as_ref()
        .and_then(folder)]);
    Needs {
        folders: folders.flatten().collect(),
        sockets: folder(&config.control.socket),
        files: lock.into_iter().collect(),
        reads: files.iter().cloned().collect::<BTreeSet<_>>(),
        programs: paths,
        listens: config.metrics.listen.map(|address| address.port()),
        raw_sockets: legacy,
        abstract_manager: manager.starts_with('@'),
    }
}

/// Where this policy has files written, and by which key, if the daemon has locked itself out of
/// there.
pub(super) fn out_of_reach<'a>(
    confinement: &Confinement,
    config: &'a Config,
) -> Vec<(&'static str, &'a Path)> {
    let json = config.events.json.as_deref().filter(|json| !confinement.may_write(json));
    let dir = config.capture.dir.as_deref().filter(|dir| !confinement.may_write_in(dir));
    let textfile = config.metrics.textfile.as_deref();
    let textfile = textfile.filter(|file| !confinement.may_write(file));
    let keys = [("[events] json", json), ("[capture] dir", dir), ("[metrics] textfile", textfile)];
    keys.into_iter().filter_map(|(key, path)| Some((key, path?))).collect()
}

impl Daemon {
    /// Says what it locked itself up with.
    pub(super) fn say_confined(&self, config: &Config) {
        let Confinement { held, open, .. } = &self.confinement;
        let mut text = match held.len() {
            0 => "this process is not confined".to_owned(),
            _ => format!("from now on this process {}", held.join("; ")),
        };
        if !open.is_empty() {
            text += &format!(". But: {}", open.join("; "));
        }
        self.say(Level::Info, "confined", text);
        for (key, path) in out_of_reach(&self.confinement, config) {
            let text = format!(
                "{key}: the folder of {} is not there. The gate has locked itself out of folders \
                 that come later: make it, then: systemctl restart portcullis",
                path.display()
            );
            self.say(Level::Warning, "confined", text);
        }
    }

    /// The same, for whoever asks.
    pub(super) fn confined_facts(&self) -> ConfinedFacts {
        let Confinement { held, open, .. } = &self.confinement;
        ConfinedFacts { held: held.clone(), open: open.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_says_what_is_needed() {
        let text = "[bans]\nstate_dir = \"/a/state\"\n[events]\njson = \"/b/log/events.json\"\n\
                    [capture]\ndir = \"/c/capture\"\n[control]\nsocket = \"/d/run/c.sock\"\n\
                    [metrics]\nlisten = \"127.0.0.1:917\"\ntextfile = \"/e/x.prom\"\n";
        let config = crate::config::parse(text, "f").unwrap().config;
        let found = Programs {
            paths: [PathBuf::from("/usr/sbin/nft")].into(),
            lock: Some("/run/xtables.lock".into()),
            legacy: true,
        };
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let files = [PathBuf::from("/etc/p.toml")];
        let expected = Needs {
            folders: paths(&["/a/state", "/b/log", "/c/capture", "/e"]),
            sockets: Some("/d/run".into()),
            files: paths(&["/run/xtables.lock"]),
            reads: paths(&["/etc/p.toml"]),
            programs: paths(&["/usr/sbin/nft"]),
            listens: Some(917),
            raw_sockets: true,
            abstract_manager: false,
        };
        assert_eq!(needs(&config, &files, found, "/run/systemd/notify"), expected);
        let least = needs(&Config::default(), &[], Programs::default(), "@manager");
        let default = Needs {
            folders: paths(&["/var/lib/portcullis"]),
            sockets: Some("/run/portcullis".into()),
            abstract_manager: true,
            ..Needs::default()
        };
        assert_eq!(least, default);
        // Whoever may write everywhere is out of nothing's reach.
        assert_eq!(out_of_reach(&Confinement::default(), &config), []);
    }
}

//! Looks at what is kept: the ban list, the log's way, the clock.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::collect::{PATIENCE, read};
use crate::config::{Config, LogTarget};
use crate::control::{Request, Response, ask_within};
use crate::doctor::{Daemon, Journal, LedgerFacts, LogFacts, Seen, Standing, moment, rate_limit};
use crate::firewall::{Line, Whom, peek, set_of};
use crate::policy;

/// The standings: from the daemon if it runs, otherwise from its file; and how the file is.
pub(super) fn ledger(daemon: &Daemon, socket: &Path, folder: &Path) -> Seen<LedgerFacts> {
    let mut facts =
        LedgerFacts { unwritable: unwritable(daemon, folder), ..LedgerFacts::default() };
    let file = peek(folder);
    facts.damaged = file.as_ref().is_ok_and(|file| !file.whole);
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    facts.aside = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("standings.bad-"))
        .collect();
    facts.aside.sort();
    if daemon.status().is_some() {
        match ask_within(socket, &Request::Bans, PATIENCE) {
            Ok(Response::Bans(rows)) => {
                facts.standings.extend(rows.iter().map(|row| {
                    let whom = Whom { net: row.source, port: row.port };
                    standing(whom, row.standing, moment(row.since), moment(row.until))
                }));
                return Ok(facts);
            }
            Ok(_) => return Err("the gate does not tell its standings".to_owned()),
            Err(error) => return Err(error.to_string().lines().collect::<Vec<_>>().join("; ")),
        }
    }
    let file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => "only root and the daemon may read it".to_owned(),
        _ => format!("{}/standings cannot be read: {error}", folder.display()),
    })?;
    let mut last = HashMap::new();
    for line in file.lines {
        match line {
            Line::Is(entry) => drop(last.insert(Whom { net: entry.net, port: entry.port }, entry)),
            Line::Forgotten(whom) => drop(last.remove(&whom)),
            Line::Clock(_) => {}
        }
    }
    let now = SystemTime::now();
    let lasting = last
        .into_iter()
        .filter(|(_, entry)| entry.standing != policy::Standing::Clean && entry.until > now);
    facts.standings.extend(
        lasting.map(|(whom, entry)| standing(whom, entry.standing, entry.since, entry.until)),
    );
    facts.standings.sort_by(|a, b| a.who.cmp(&b.who));
    Ok(facts)
}

fn standing(whom: Whom, of: policy::Standing, since: SystemTime, until: SystemTime) -> Standing {
    let who = match whom.port {
        Some(port) => format!("{} at port {port}", whom.net),
        None => whom.net.to_string(),
    };
    Standing { who, set: set_of(whom.net, whom.port, of), whom, since, until }
}

/// What hinders the daemon's user from writing into the state folder.
fn unwritable(daemon: &Daemon, folder: &Path) -> Option<String> {
    let there = match fs::metadata(folder) {
        Ok(there) if !there.is_dir() => return Some("it is not a folder".to_owned()),
        Ok(there) => there,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return daemon.status().map(|_| "the folder is gone".to_owned());
        }
        Err(_) => return None,
    };
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        if disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            return Some("the file system is read-only".to_owned());
        }
        if disk.f_bavail == 0 || (disk.f_files > 0 && disk.f_favail == 0) {
            return Some("the disk is full".to_owned());
        }
    }
    let user = fs::metadata(format!("/proc/{}", daemon.status()?.pid)).ok()?.uid();
    // Root may do anything; groups are left to whoever chose them.
    let alone = there.mode() & 0o022 == 0;
    (user != 0 && there.uid() != user && alone)
        .then(|| format!("it belongs to user {}, and the gate runs as user {user}", there.uid()))
}

/// Where log lines go, and whether somebody is there.
pub(super) fn log(config: &Config) -> LogFacts {
    let events = &config.events;
    let local = events.to == LogTarget::Syslog && !events.syslog.starts_with("udp:");
    let syslog = match local {
        true => UnixDatagram::unbound()
            .and_then(|socket| socket.connect(&events.syslog))
            .map_err(|error| error.to_string()),
        false => Ok(()),
    };
    let folder = events.json.as_deref().and_then(Path::parent);
    // An empty parent is the folder that the daemon runs in.
    let missing = folder.filter(|folder| !folder.as_os_str().is_empty()).filter(|folder| {
        fs::metadata(folder).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
    });
    LogFacts {
        journal: journal(),
        syslog,
        json_folder_missing: missing.map(|folder| folder.display().to_string()),
    }
}

fn journal() -> Journal {
    if !Path::new("/run/systemd/journal/socket").exists() {
        return Journal::None;
    }
    let roots = ["/etc", "/run", "/usr/local/lib", "/usr/lib"];
    let main = roots.iter().map(|root| format!("{root}/systemd/journald.conf"));
    let mut files: Vec<String> = main.filter(|path| Path::new(path).exists()).take(1).collect();
    for folder in ["journald.conf.d", "system/portcullis.service.d"] {
        let mut drop_ins: Vec<(String, String)> = Vec::new();
        for root in roots {
            let entries = fs::read_dir(format!("{root}/systemd/{folder}"));
            for entry in entries.into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                // One in an earlier folder hides those of the same name.
                if name.ends_with(".conf") && drop_ins.iter().all(|(known, _)| *known != name) {
                    drop_ins.push((name, entry.path().display().to_string()));
                }
            }
        }
        drop_ins.sort();
        files.extend(drop_ins.into_iter().map(|(_, path)| path));
    }
    let texts: Vec<String> = files.iter().map(|path| read(path)).collect();
    Journal::Takes(rate_limit(texts.iter().map(String::as_str)))
}

/// What systemd says of the clock; it asks the kernel, so it knows of every time service.
pub(super) fn synchronised() -> Option<bool> {
    // Without systemd's bus it would only wait.
    if !Path::new("/run/dbus/system_bus_socket").exists() {
        return None;
    }
    let said = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    match String::from_utf8_lossy(&said.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

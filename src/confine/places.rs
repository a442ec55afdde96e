//! Landlock: where files are written, which programs are run, which TCP ports are used, and whom
//! signals reach.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
    make_bitflags,
};

use super::{Needs, executable};

/// To make, write, rename and remove files.
const WRITE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{WriteFile | RemoveFile | MakeReg | Truncate});
/// DNS, where an answer is too long for UDP (RFC 7766).
const DNS: u16 = 53;

/// What holds, and what does not.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) held: Vec<String>,
    pub(super) open: Vec<String>,
    /// Where files may be written; `None` if everywhere.
    pub(super) folders: Option<Vec<PathBuf>>,
}

/// Restricts this thread, as far as the kernel can.
pub(super) fn enforce(needs: &Needs) -> Result<Places, RulesetError> {
    let folders = needs.folders.iter().chain(&needs.sockets);
    let mut folders: Vec<PathBuf> = folders.filter_map(|path| path.canonicalize().ok()).collect();
    folders.sort();
    folders.dedup();
    let programs = executable::places(&needs.programs);
    let status = restrict(needs, &folders, &programs)?;
    Ok(told(version(&status), folders, &programs, needs.listens))
}

fn restrict(
    needs: &Needs,
    folders: &[PathBuf],
    programs: &[PathBuf],
) -> Result<RestrictionStatus, RulesetError> {
    // What is read is not restricted; what is run is.
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut scope = BitFlags::from(Scope::Signal);
    scope.set(Scope::AbstractUnixSocket, !needs.abstract_manager);
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5) & !reading)?
        .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
        .scope(scope)?
        .create()?;
    let files = needs.files.iter().map(PathBuf::as_path).chain([Path::new("/dev/null")]);
    let allowed = folders
        .iter()
        .map(|folder| (folder.as_path(), WRITE))
        .chain(needs.sockets.iter().map(|folder| (folder.as_path(), AccessFs::MakeSock.into())))
        .chain(files.map(|file| (file, AccessFs::WriteFile | AccessFs::Truncate)))
        .chain(programs.iter().map(|place| (place.as_path(), AccessFs::Execute.into())));
    for (path, access) in allowed {
        // What is not there, or is not to be found by this user, is of no use to the daemon.
        if let Ok(place) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(place, access))?;
        }
    }
    rules = rules.add_rule(NetPort::new(DNS, AccessNet::ConnectTcp))?;
    if let Some(port) = needs.listens {
        rules = rules.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
    }
    rules.restrict_self()
}

/// The version of Landlock that is in force, or why there is none.
fn version(status: &RestrictionStatus) -> Result<ABI, &'static str> {
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi),
        LandlockStatus::NotEnabled => Err("Landlock is not enabled (the kernel's parameter lsm=)"),
        LandlockStatus::NotImplemented => Err("the kernel has no Landlock (Linux 5.13)"),
    }
}

/// What comes of it, in words.
fn told(
    version: Result<ABI, &str>,
    folders: Vec<PathBuf>,
    programs: &[PathBuf],
    listens: Option<u16>,
) -> Places {
    let version = match version {
        Ok(version) => version,
        Err(why) => {
            let open = format!("it may write and run what its user may: {why}");
            return Places { open: vec![open], ..Places::default() };
        }
    };
    let mut places = Places::default();
    places.held.push(format!("writes only in {}", list(&folders)));
    places.held.push(format!("runs only programs in {}, and no shell", list(programs)));
    let listens = listens.map(|port| format!(" and to be asked at port {port}"));
    let tcp = format!("uses TCP only to ask DNS{}", listens.unwrap_or_default());
    let signals = "signals only what it has started".to_owned();
    for (since, linux, held, open) in [
        (ABI::V4, "6.7", tcp, "it may use any TCP port"),
        (ABI::V6, "6.12", signals, "it may signal other processes"),
    ] {
        if version >= since {
            places.held.push(held);
        } else {
            places.open.push(format!("{open}: to prevent that takes Linux {linux}"));
        }
    }
    places.folders = Some(folders);
    places
}

fn list(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "no folder".to_owned();
    }
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_holds_less_and_that_is_told() {
        let folders = || vec![PathBuf::from("/var/lib/portcullis"), PathBuf::from("/run/p")];
        let programs = [PathBuf::from("/usr/sbin")];
        for (version, held, open, bounded) in [
            (Err("the kernel has no Landlock (Linux 5.13)"), 0, 1, false),
            (Ok(ABI::V1), 2, 2, true),
            (Ok(ABI::V2), 2, 2, true),
            (Ok(ABI::V4), 3, 1, true),
            (Ok(ABI::V6), 4, 0, true),
            (Ok(ABI::V8), 4, 0, true),
        ] {
            let places = told(version, folders(), &programs, None);
            assert_eq!((places.held.len(), places.open.len()), (held, open), "{places:?}");
            assert_eq!(places.folders.is_some(), bounded);
        }
        let all = told(Ok(ABI::V6), folders(), &programs, Some(9917)).held;
        assert_eq!(all[0], "writes only in /var/lib/portcullis, /run/p");
        assert_eq!(all[1], "runs only programs in /usr/sbin, and no shell");
        assert_eq!(all[2], "uses TCP only to ask DNS and to be asked at port 9917");
    }
}

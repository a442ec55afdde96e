//! Capabilities (capabilities(7)): all go but those that are needed, from the bounding set too, so
//! that not even a program of root's gets one back.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::Needs;

/// Ports below this one are the system's (ip(7), `ip_unprivileged_port_start`).
const PRIVILEGED_PORTS: u16 = 1024;

/// Keeps what is needed, and says what that is.
pub(super) fn keep(needs: &Needs) -> Result<String, Errno> {
    set_no_new_privs(true)?;
    let before = capabilities(None)?;
    let mut wanted = CapabilitySet::NET_ADMIN;
    wanted.set(CapabilitySet::NET_RAW, needs.raw_sockets);
    let low_port = needs.listens.is_some_and(|port| port < PRIVILEGED_PORTS);
    wanted.set(CapabilitySet::NET_BIND_SERVICE, low_port);
    // What is out of reach without root's power over files shows without it.
    let without = CapabilitySets { effective: before.effective & wanted, ..before };
    change(before, without)?;
    wanted |= power_over_files(needs);
    change(without, before)?;
    for capability in CapabilitySet::all().difference(wanted).iter() {
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            // A service may not change that set; its manager has made it small already.
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    // What is ambient is never more than what is permitted and inheritable.
    let after = CapabilitySets {
        effective: before.permitted & wanted,
        permitted: before.permitted & wanted,
        inheritable: before.inheritable & wanted,
    };
    change(before, after)?;
    Ok(names(after.effective))
}

/// A service whose manager has left it nothing to give up may not even call for that.
fn change(from: CapabilitySets, to: CapabilitySets) -> Result<(), Errno> {
    if from == to { Ok(()) } else { set_capabilities(None, to) }
}

/// What the daemon's user needs besides, if the files are not its own.
fn power_over_files(needs: &Needs) -> CapabilitySet {
    let who = Who::now();
    // To make a file takes write and search permission for its folder.
    let folders = needs.folders.iter().chain(&needs.sockets).map(|path| (path, 0o3));
    let files = needs.files.iter().map(|path| (path, 0o2));
    if folders.chain(files).any(|(path, bits)| who.is_denied(path, bits)) {
        CapabilitySet::DAC_OVERRIDE
    } else if needs.reads.iter().any(|path| who.is_denied(path, 0o4)) {
        CapabilitySet::DAC_READ_SEARCH
    } else {
        CapabilitySet::empty()
    }
}

/// A user without any capability.
struct Who {
    uid: u32,
    groups: Vec<u32>,
}

impl Who {
    /// The user of this process.
    fn now() -> Self {
        let groups = rustix::process::getgroups().unwrap_or_default().into_iter();
        let groups = groups.chain([getegid()]).map(|group| group.as_raw()).collect();
        Self { uid: geteuid().as_raw(), groups }
    }

    fn is_denied(&self, path: &Path, bits: u32) -> bool {
        match fs::metadata(path) {
            Ok(file) => !self.may(file.uid(), file.gid(), file.mode(), bits),
            Err(error) => error.kind() == ErrorKind::PermissionDenied,
        }
    }

    /// Do the permissions of a file allow that (path_resolution(7))? Bits as in one digit of
    /// chmod(1).
    fn may(&self, uid: u32, gid: u32, mode: u32, bits: u32) -> bool {
        let shift = match () {
            () if uid == self.uid => 6,
            () if self.groups.contains(&gid) => 3,
            () => 0,
        };
        mode >> shift & bits == bits
    }
}

/// `CAP_NET_ADMIN, CAP_NET_RAW`; `no capabilities`
fn names(set: CapabilitySet) -> String {
    let names: Vec<String> = set.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    if names.is_empty() { "no capabilities".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_those_of_the_first_class_that_fits() {
        let who = Who { uid: 7, groups: vec![40, 41] };
        for (uid, gid, mode, bits, may) in [
            (7, 0, 0o700, 0o3, true),
            (7, 0, 0o500, 0o3, false),
            // The owner's bits count for the owner, whatever others may.
            (7, 41, 0o077, 0o3, false),
            (0, 41, 0o730, 0o3, true),
            (0, 41, 0o720, 0o3, false),
            (0, 41, 0o703, 0o3, false),
            (0, 0, 0o773, 0o3, true),
            (0, 0, 0o755, 0o3, false),
            (0, 0, 0o640, 0o4, false),
            (0, 40, 0o640, 0o4, true),
        ] {
            assert_eq!(who.may(uid, gid, mode, bits), may, "{uid} {gid} {mode:o} {bits:o}");
        }
    }

    #[test]
    fn capabilities_have_the_names_that_admins_know() {
        assert_eq!(names(CapabilitySet::empty()), "no capabilities");
        let two = CapabilitySet::NET_ADMIN | CapabilitySet::DAC_READ_SEARCH;
        assert_eq!(names(two), "CAP_DAC_READ_SEARCH, CAP_NET_ADMIN");
    }
}

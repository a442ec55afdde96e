//! What a policy with mistakes still tells.

use std::fs;
use std::path::{Path, PathBuf};

use super::load::overlays;
use super::settings::{Bans, Control};

/// Where the policy at `path` keeps its standings (`[bans] state_dir`), as far as that can be seen
/// without reading all of it: it may have mistakes, long lists, or be missing. Then it is where it
/// is by default.
pub fn state_dir(path: &Path) -> PathBuf {
    last(path, ["state_dir", "bans.state_dir"]).unwrap_or_else(|| Bans::default().state_dir)
}

/// The same of the daemon's socket (`[control] socket`).
pub fn control_socket(path: &Path) -> PathBuf {
    last(path, ["socket", "control.socket"]).unwrap_or_else(|| Control::default().socket)
}

/// What the last file that sets a key says.
fn last(path: &Path, keys: [&str; 2]) -> Option<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("")).join("conf.d");
    let files = [path.to_owned()].into_iter().chain(overlays(&folder).unwrap_or_default());
    let texts = files.filter_map(|file| fs::read(file).ok());
    texts.filter_map(|text| salvage(&String::from_utf8_lossy(&text), keys)).next_back()
}

/// The last line that sets one of the keys, whatever stands around it.
fn salvage(text: &str, keys: [&str; 2]) -> Option<PathBuf> {
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        keys.contains(&key.trim()).then_some(())?;
        let quoted = value.trim_start();
        let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let path = PathBuf::from(quoted[1..].split(quote).next()?);
        path.is_absolute().then_some(path)
    };
    text.lines().filter_map(value).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_policy_still_tells_where_its_state_is() {
        for (text, wanted) in [
            ("[bans]\nstate_dir = \"/srv/gate\" # ours\n", Some("/srv/gate")),
            ("mode = nonsense\n[bans\n  state_dir='/a b'", Some("/a b")),
            ("bans.state_dir = \"/one\"\nbans.state_dir = \"/two\"", Some("/two")),
            ("# state_dir = \"/srv\"\nstate_dir = \"relative\"\nstate_dir =", None),
        ] {
            let found = salvage(text, ["state_dir", "bans.state_dir"]);
            assert_eq!(found.as_deref(), wanted.map(Path::new), "{text}");
        }
        let place = tempfile::tempdir().unwrap();
        let policy = place.path().join("p.toml");
        assert_eq!(state_dir(&policy), Path::new("/var/lib/portcullis"));
        fs::write(&policy, "state_dir = \"/one\"").unwrap();
        fs::create_dir(place.path().join("conf.d")).unwrap();
        fs::write(place.path().join("conf.d/a.toml"), "[bans]\nstate_dir = \"/two\"").unwrap();
        assert_eq!(state_dir(&policy), Path::new("/two"));
        assert_eq!(control_socket(&policy), Control::default().socket);
        fs::write(&policy, "[control]\nsocket = '/run/gate.sock'\nmode = [[[").unwrap();
        assert_eq!(control_socket(&policy), Path::new("/run/gate.sock"));
    }
}

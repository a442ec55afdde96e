//! The numbers in a file, for node_exporter's textfile collector.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Recent;
use super::classic::classic;

/// Writes the file now and then, until it is stopped.
#[derive(Debug)]
pub struct Textfile {
    path: PathBuf,
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Textfile {
    /// Writes `path` at once and then `every` so often, from a thread of its own. `tell` gets what
    /// became of it when that changes: an error, or none when it works again.
    ///
    /// # Errors
    /// Only if the system has no room for another thread.
    pub fn start(
        path: PathBuf,
        every: Duration,
        recent: Arc<Recent>,
        tell: impl Fn(Option<&io::Error>) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let own = path.clone();
        let thread = thread::Builder::new().name("metrics file".into()).spawn(move || {
            let mut failing = false;
            loop {
                let text = classic(&recent.text(Instant::now()));
                let written = write(&own, text.as_bytes());
                if written.is_err() != failing {
                    failing = !failing;
                    tell(written.as_ref().err());
                }
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Self { path, stop, thread })
    }

    /// Ends the thread and removes the file: numbers of a gate that does not run are none.
    pub fn stop(self) {
        // If the thread has ended already, there is nothing to stop.
        let _ = self.stop.try_send(());
        let _ = self.thread.join();
        let _ = fs::remove_file(&self.path);
    }
}

/// Replaces the file in one step, so that nobody reads half of it. Everybody may read it, whatever
/// the daemon's umask is: node_exporter runs as a user of its own.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Not with the ending that node_exporter looks for.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    // What an earlier run left behind; or what somebody put there to have us write elsewhere.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(bytes).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        // Half a file helps nobody.
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::mpsc::channel;

    use super::super::sample;
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("a.prom"), folder.path().join("victim"));
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, folder.path().join("a.prom.new")).unwrap();
        symlink(&victim, &path).unwrap();
        for text in ["long text\n", "short\n"] {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        let file = fs::symlink_metadata(&path).unwrap();
        assert_eq!((file.is_file(), file.permissions().mode() & 0o777), (true, 0o644));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn trouble_is_told_once_and_its_end_too() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let path = missing.join("a.prom");
        let (sender, told) = channel();
        let tell = move |error: Option<&io::Error>| {
            let _ = sender.send(error.map(io::Error::kind));
        };
        let recent = Arc::new(Recent::new(sample::facts));
        let every = Duration::from_millis(5);
        let textfile = Textfile::start(path.clone(), every, recent, tell).unwrap();
        assert_eq!(told.recv().unwrap(), Some(io::ErrorKind::NotFound));
        fs::create_dir(&missing).unwrap();
        assert_eq!(told.recv().unwrap(), None);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("# TYPE portcullis_syns_received_total counter\n"), "{text}");
        assert!(!text.contains("# EOF"), "{text}");
        textfile.stop();
        assert!(!path.exists());
        assert!(told.recv().is_err(), "told of nothing else");
    }
}

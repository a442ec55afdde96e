//! Faults that only the daemon may see, because the whole machine would have them otherwise: its
//! time of day, a disk that became read-only under it, an nft that fails or hangs. `preload.c` stands
//! between the daemon, with what it starts, and the C library; this is the hand on its levers.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The source, next to this file.
const SOURCE: &str = "tests/faults/campaign/preload.c";

/// Names the library, where it was built on another machine: that of `tests/vm/run` has no compiler.
const BUILT: &str = "PORTCULLIS_TEST_PRELOAD";

/// The levers.
pub(crate) struct Preload {
    library: PathBuf,
    orders: PathBuf,
    folder: PathBuf,
    file: File,
}

impl Preload {
    /// Builds the library, with the C compiler that Rust links with anyway. `folder` is what becomes
    /// read-only.
    pub(crate) fn build(folder: &Path) -> Self {
        let place = Path::new("/run/faults");
        fs::create_dir_all(place).expect("a folder");
        let library = std::env::var_os(BUILT).map_or_else(|| compile(place), PathBuf::from);
        let orders = place.join("orders");
        fs::write(&orders, [0; 32]).expect("a file");
        let file = File::options().write(true).open(&orders).expect("it was just written");
        Self { library, orders, folder: folder.to_owned(), file }
    }

    /// Has a daemon obey.
    pub(crate) fn load_into(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("FAULTS_ORDERS", &self.orders).env("FAULTS_FOLDER", &self.folder);
    }

    /// The daemon's time of day is so many seconds ahead of the machine's, or behind.
    pub(crate) fn set_clock(&self, ahead: i64) {
        self.order(0, ahead * 1_000_000_000);
    }

    /// Nothing in the folder can be written.
    pub(crate) fn set_readonly(&self, readonly: bool) {
        self.order(8, i64::from(readonly));
    }

    /// Every nft that the daemon starts complains and ends.
    pub(crate) fn fail_nft(&self, fails: bool) {
        self.order(16, i64::from(fails));
    }

    /// Every nft that the daemon starts waits until this is over.
    pub(crate) fn hang_nft(&self, hangs: bool) {
        self.order(24, i64::from(hangs));
    }

    fn order(&self, at: u64, value: i64) {
        self.file.write_all_at(&value.to_ne_bytes(), at).expect("a write");
    }
}

fn compile(place: &Path) -> PathBuf {
    let library = place.join("preload.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(SOURCE);
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O2", "-Wall", "-o"]).arg(&library).arg(source);
    let built = compile.arg("-ldl").status().expect("cc is there, as Rust links with it");
    assert!(built.success(), "preload.c does not compile");
    library
}

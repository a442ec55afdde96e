//! What Portcullis promises of whatever bytes it is given, one file for each place where bytes come
//! in. A promise is kept if its `check` returns; each target in `targets/` hands it the fuzzer's
//! inputs, and `cargo test --test seeds` hands it the committed ones.

pub mod answers;
pub mod capture;
pub mod control;
pub mod judge;
pub mod ledger;
pub mod model;
pub mod names;
pub mod packet;
pub mod policy;
pub mod review;

/// A folder for one input's files: in memory, where there is such a place, because a fuzzer makes
/// thousands a second.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder can be made")
}

//! Files in a folder, of which the oldest goes when there are too many.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::blocks::head;

/// `portcullis.pcapng` is being written, `portcullis.1.pcapng` was before it, and so on.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    /// Bytes at which a file is full.
    max_size: u64,
    /// How many files there are at most.
    keep: u32,
    open: Option<(File, u64)>,
}

impl Files {
    /// Nothing is opened before there is something to write.
    pub(super) fn new(dir: &Path, max_size: u64, keep: u32) -> Self {
        Self { dir: dir.to_owned(), max_size, keep: keep.max(1), open: None }
    }

    /// Writes a block; begins another file if it does not fit into this one. After an error the
    /// next block begins another file, since half of this one may have been written.
    pub(super) fn write(&mut self, block: &[u8]) -> io::Result<()> {
        let (mut file, size) = match self.open.take() {
            Some((file, size)) if size + block.len() as u64 <= self.max_size => (file, size),
            _ => self.begin()?,
        };
        // Block by block: whoever looks at the file sees whole ones.
        file.write_all(block)?;
        self.open = Some((file, size + block.len() as u64));
        Ok(())
    }

    fn begin(&self) -> io::Result<(File, u64)> {
        for age in (1..self.keep).rev() {
            moved(&self.path(age - 1), &self.path(age))?;
        }
        let path = self.path(0);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // It tells who talks to this host.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
        let head = head();
        file.write_all(&head)?;
        Ok((file, head.len() as u64))
    }

    fn path(&self, age: u32) -> PathBuf {
        match age {
            0 => self.dir.join("portcullis.pcapng"),
            age => self.dir.join(format!("portcullis.{age}.pcapng")),
        }
    }
}

fn moved(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_rotated_by_size() {
        let folder = tempfile::tempdir().unwrap();
        let block = [7; 100];
        let room = head().len() as u64 + 250;
        let mut files = Files::new(folder.path(), room, 3);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let sizes = || {
            let size = |age: u32| {
                let path = Files::new(folder.path(), 0, 3).path(age);
                fs::metadata(path).map(|file| (file.len() - head().len() as u64) / 100).ok()
            };
            [size(0), size(1), size(2), size(3)]
        };
        for expected in [
            [Some(1), None, None, None],
            [Some(2), None, None, None],
            [Some(1), Some(2), None, None],
            [Some(2), Some(2), None, None],
            [Some(1), Some(2), Some(2), None],
            [Some(2), Some(2), Some(2), None],
            [Some(1), Some(2), Some(2), None],
        ] {
            files.write(&block).unwrap();
            assert_eq!(sizes(), expected);
        }
        // Another run does not write behind the end of what may have been cut off.
        Files::new(folder.path(), room, 3).write(&block).unwrap();
        assert_eq!(sizes(), [Some(1), Some(1), Some(2), None]);
    }

    #[test]
    fn a_missing_folder_is_an_error_that_can_pass() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("later");
        let mut files = Files::new(&dir, 10_000, 1);
        assert_eq!(files.write(b"block").unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(&dir).unwrap();
        files.write(b"block").unwrap();
        files.write(b"block").unwrap();
        let file = fs::read(dir.join("portcullis.pcapng")).unwrap();
        assert_eq!(file, [head().as_slice(), b"blockblock"].concat());
    }
}

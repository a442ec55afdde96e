//! Files under one name, of which the oldest goes when there are too many.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::blocks::head;

/// `portcullis.pcapng` is being written, `portcullis.1.pcapng` was before it, and so on.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    /// Bytes at which a file is full.
    max_size: u64,
    /// How many files there are at most.
    keep: u32,
    open: Option<(File, u64)>,
}

impl Files {
    /// At most `keep` files of `max_size` bytes. Nothing is opened before there is something to
    /// write.
    pub fn new(path: &Path, max_size: u64, keep: u32) -> Self {
        Self { path: path.to_owned(), max_size, keep: keep.max(1), open: None }
    }

    /// The names that they may get.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        (0..self.keep).map(|age| self.path(age))
    }

    /// Is there room for a block in the file that is being written?
    pub fn has_room(&self, block: &[u8]) -> bool {
        self.open.as_ref().is_some_and(|(_, size)| size + block.len() as u64 <= self.max_size)
    }

    /// Writes a block; begins another file if it does not fit into this one. After an error the
    /// next block begins another file, since half of this one may have been written.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&mut self, block: &[u8]) -> io::Result<()> {
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
        if age == 0 {
            return self.path.clone();
        }
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(format!(".{age}"));
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
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
        let path = folder.path().join("portcullis.pcapng");
        let mut files = Files::new(&path, room, 3);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let sizes = || {
            let size = |age: u32| {
                let path = Files::new(&path, 0, 3).path(age);
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
        Files::new(&path, room, 3).write(&block).unwrap();
        assert_eq!(sizes(), [Some(1), Some(1), Some(2), None]);
        let names = Files::new(Path::new("/x/night.watch"), 0, 2).paths().collect::<Vec<_>>();
        assert_eq!(names, [Path::new("/x/night.watch"), Path::new("/x/night.1.watch")]);
        assert_eq!(Files::new(Path::new("trace"), 0, 2).path(1), Path::new("trace.1"));
    }

    #[test]
    fn a_missing_folder_is_an_error_that_can_pass() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("later");
        let mut files = Files::new(&dir.join("portcullis.pcapng"), 10_000, 1);
        assert_eq!(files.write(b"block").unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(&dir).unwrap();
        files.write(b"block").unwrap();
        files.write(b"block").unwrap();
        let file = fs::read(dir.join("portcullis.pcapng")).unwrap();
        assert_eq!(file, [head().as_slice(), b"blockblock"].concat());
    }
}

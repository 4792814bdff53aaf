//! A log file that is begun anew when it has grown to its limit. In: text, as it is to stand there. Out: `FILE`, and before it
//! `FILE.1`, `FILE.2` and so on, as many as are to be kept, the oldest with the highest number.
//!
//! The query log, the access log and the logs of apps each have a thread that writes; what waits for it, and what becomes of a line
//! that cannot be written, is theirs. After a failure the file is left alone for [`RETRY`], so that a full disk costs one attempt a
//! second, not one a line.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// After a file could not be written, how long until it is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

/// A bounded log file, appended to.
#[derive(Debug)]
pub struct RotatingLog {
    path: PathBuf,
    max_bytes: u64,
    keep: u16,
    /// None after a failure, with the time of the next attempt.
    open: Result<Open, Instant>,
}

#[derive(Debug)]
struct Open {
    file: BufWriter<File>,
    bytes: u64,
}

impl RotatingLog {
    /// Opens the file, or makes it; its directory must be there. It is put aside before it would have more than `max_bytes`, and
    /// `keep` of those that were put aside are kept. A text longer than the limit stands alone in a file.
    ///
    /// # Errors
    /// The file cannot be opened for appending.
    pub fn open(path: &Path, max_bytes: u64, keep: u16) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), max_bytes, keep, open: Ok(Open::at(path)?) })
    }

    /// Appends a text, whole and in one file, with its line end if it is to have one. It is on its way to the disk after
    /// [`RotatingLog::flush`].
    ///
    /// # Errors
    /// What the system said, or that it is not yet time for another attempt; the text is lost.
    pub fn write(&mut self, text: &str) -> io::Result<()> {
        let written = self.try_write(text);
        self.after(written)
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// What the system said; what had not been handed over is lost.
    pub fn flush(&mut self) -> io::Result<()> {
        let flushed = self.open.as_mut().map_or(Ok(()), |open| open.file.flush());
        self.after(flushed)
    }

    fn after(&mut self, result: io::Result<()>) -> io::Result<()> {
        if result.is_err() && self.open.is_ok() {
            self.open = Err(Instant::now() + RETRY);
        }
        result
    }

    fn try_write(&mut self, text: &str) -> io::Result<()> {
        let length = text.len() as u64;
        let open = match &mut self.open {
            Ok(open) if open.bytes > 0 && open.bytes + length > self.max_bytes => {
                open.file.flush()?;
                put_aside(&self.path, self.keep)?;
                *open = Open::at(&self.path)?;
                open
            }
            Ok(open) => open,
            Err(next) if Instant::now() < *next => return Err(io::Error::other("it could not be written just now")),
            failed @ Err(_) => {
                *failed = Ok(Open::at(&self.path)?);
                return self.try_write(text);
            }
        };
        open.file.write_all(text.as_bytes())?;
        open.bytes += length;
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file: BufWriter::with_capacity(64 << 10, file), bytes })
    }
}

fn put_aside(path: &Path, keep: u16) -> io::Result<()> {
    for number in (1..keep).rev() {
        let from = aside(path, number);
        if from.exists() {
            fs::rename(from, aside(path, number + 1))?;
        }
    }
    if keep == 0 { fs::remove_file(path) } else { fs::rename(path, aside(path, 1)) }
}

/// Where a file is that was put aside; 1 is the newest.
pub fn aside(path: &Path, number: u16) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that goes with its test.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("atoll-rotating-log-{}-{name}", std::process::id()));
            fs::create_dir_all(&dir).expect("a directory");
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_file_is_bounded_and_the_one_before_it_is_kept() {
        let dir = Dir::new("rotation");
        let path = dir.0.join("lines");
        let mut file = RotatingLog::open(&path, 100, 1).unwrap();
        for i in 0..33 {
            file.write(&format!("line number {i:07}\n")).unwrap();
        }
        file.flush().unwrap();
        // Five lines of 20 bytes are 100.
        assert_eq!(read(&path).lines().count(), 3);
        assert_eq!(read(&aside(&path, 1)).lines().count(), 5);
        assert!(read(&path).ends_with("line number 0000032\n"));
        assert!(read(&aside(&path, 1)).ends_with("line number 0000029\n"));
        assert!(!aside(&path, 2).exists());
        // What is there already counts.
        let mut again = RotatingLog::open(&path, 100, 1).unwrap();
        for i in 33..36 {
            again.write(&format!("line number {i:07}\n")).unwrap();
        }
        again.flush().unwrap();
        assert_eq!(read(&path), "line number 0000035\n");
    }

    #[test]
    fn so_many_are_kept_and_the_oldest_go() {
        for (keep, kept) in
            [(0, ["", "", ""]), (1, ["fifteen letters\n", "", ""]), (2, ["fifteen letters\n", "four\n", ""])]
        {
            let dir = Dir::new(&format!("keep-{keep}"));
            let path = dir.0.join("out.log");
            let mut file = RotatingLog::open(&path, 10, keep).unwrap();
            for text in ["one\n", "two\n", "three\n", "four\n", "fifteen letters\n", "six\n"] {
                file.write(text).unwrap();
            }
            file.flush().unwrap();
            assert_eq!(read(&path), "six\n", "{keep} kept");
            assert_eq!([1, 2, 3].map(|number| read(&aside(&path, number))), kept, "{keep} kept");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_tried_again() {
        let dir = Dir::new("retry");
        let path = dir.0.join("gone/lines");
        assert!(RotatingLog::open(&path, 1000, 1).is_err(), "at the start it is an error");
        let mut file = RotatingLog { path: path.clone(), max_bytes: 1000, keep: 1, open: Err(Instant::now()) };
        assert!(file.write("a").is_err());
        fs::create_dir(dir.0.join("gone")).unwrap();
        file.open = Err(Instant::now() + Duration::from_secs(3600));
        assert!(file.write("b").is_err(), "not yet");
        file.open = Err(Instant::now());
        file.write("c\n").unwrap();
        file.flush().unwrap();
        assert_eq!(read(&path), "c\n");
    }
}

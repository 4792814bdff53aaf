//! The lever that stops one member's automation: a file beside its log, so that it holds over restarts and needs nobody else.
//!
//! While it is pulled the judge of this member proposes nothing, whether it leads or not. People's words go on being taken.
//! A file that is there and cannot be read counts as pulled: whoever put it there wanted it to stop.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use plane_client::api::human::LeverPulled;
use tokio::sync::watch;

/// The lever of one member.
#[derive(Debug)]
pub(crate) struct Lever {
    file: PathBuf,
    pulled: watch::Sender<Option<LeverPulled>>,
}

impl Lever {
    /// The lever as it was left, in the member's directory.
    pub(crate) fn open(dir: &Path) -> Self {
        let file = dir.join("automation.stopped");
        let pulled = match fs::read(&file) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap_or_else(|error| unreadable(&error.to_string()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(unreadable(&error.to_string())),
        };
        Self { file, pulled: watch::Sender::new(pulled) }
    }

    /// One that nobody has pulled, for members without a disk of their own.
    #[cfg(test)]
    pub(crate) fn untouched() -> Self {
        Self { file: PathBuf::new(), pulled: watch::Sender::new(None) }
    }

    /// Who pulled it; none: automation works.
    pub(crate) fn pulled(&self) -> Option<LeverPulled> {
        self.pulled.borrow().clone()
    }

    /// Each change.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<LeverPulled>> {
        self.pulled.subscribe()
    }

    /// Pulls it, or puts it back. Stopping holds at once, even if the disk then refuses to remember it; starting holds once the
    /// file is gone.
    pub(crate) async fn set(&self, pulled: Option<LeverPulled>) -> io::Result<()> {
        if pulled.is_some() {
            self.pulled.send_replace(pulled.clone());
        }
        let (file, word) = (self.file.clone(), pulled.clone());
        let kept = tokio::task::spawn_blocking(move || keep(&file, word.as_ref())).await;
        kept.map_err(io::Error::other)??;
        self.pulled.send_replace(pulled);
        Ok(())
    }
}

fn unreadable(why: &str) -> LeverPulled {
    LeverPulled { who: "unknown".into(), reason: format!("the file that says so cannot be read: {why}"), at_ms: 0 }
}

fn keep(file: &Path, word: Option<&LeverPulled>) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("."));
    match word {
        Some(word) => {
            let fresh = file.with_extension("new");
            let mut out = File::create(&fresh)?;
            out.write_all(&serde_json::to_vec(word)?)?;
            out.sync_all()?;
            fs::rename(&fresh, file)?;
        }
        None => match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        },
    }
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word() -> LeverPulled {
        LeverPulled { who: "ops".into(), reason: "a test".into(), at_ms: 7 }
    }

    #[tokio::test]
    async fn a_lever_stays_as_it_was_left_and_one_that_cannot_be_read_is_pulled() {
        let dir = std::env::temp_dir().join(format!("plane-lever-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let lever = Lever::open(&dir);
        assert_eq!(lever.pulled(), None);
        lever.set(Some(word())).await.unwrap();
        assert_eq!(Lever::open(&dir).pulled(), Some(word()));
        lever.set(None).await.unwrap();
        lever.set(None).await.unwrap();
        assert_eq!(Lever::open(&dir).pulled(), None);
        fs::write(dir.join("automation.stopped"), "torn").unwrap();
        assert!(Lever::open(&dir).pulled().is_some());
        fs::remove_dir_all(&dir).unwrap();
    }
}

//! A directory of this app alone: the preload, and the sockets that workers speak on. Only this user may look into it.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::limit_mark::{AppMark, LimitMark};

const PRELOAD: &str = include_str!("../preload/preload.cjs");

/// Removed with the app; the guard removes it when this process was killed.
pub(crate) struct RunDir {
    path: PathBuf,
    /// Names this app's start among all of this machine.
    pub(crate) id: String,
    /// The same, as a mark in limits.
    pub(crate) limits: AppMark,
}

impl RunDir {
    pub(crate) fn create() -> io::Result<Self> {
        let id = format!("{:x}-{:016x}", std::process::id(), fastrand::u64(..));
        // The path of a socket may have 107 bytes, so it is short.
        let path = env::temp_dir().join(format!("atoll-{id}"));
        // An existing one is an error: it could be somebody else's.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let dir = Self { path, id, limits: AppMark::by_chance() };
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.preload())?;
        io::Write::write_all(&mut file, PRELOAD.as_bytes())?;
        Ok(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn preload(&self) -> PathBuf {
        self.path.join("preload.cjs")
    }

    /// Where a life's socket of a kind is.
    pub(crate) fn socket(&self, life: u64, kind: &str) -> PathBuf {
        self.path.join(format!("{life}.{kind}"))
    }

    /// What the environment of everything that a life starts has in it: `ATOLL_LIFE` with this value.
    pub(crate) fn mark(&self, life: u64) -> String {
        format!("{}-{life}", self.id)
    }

    /// What the limits of everything that a life starts have in them.
    pub(crate) fn limit_mark(&self, life: u64) -> LimitMark {
        self.limits.life(life)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

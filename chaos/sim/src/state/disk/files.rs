//! The disk as the store sees it.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use replication_storage::{Access, Files, Hold, Locked, OpenFile};

use super::{Inode, Naming, Pending, SimDisk, State, crash::write_at};

/// One process's access to a [`SimDisk`]; dead once the process is.
#[derive(Debug, Clone)]
pub(crate) struct SimFiles {
    disk: SimDisk,
    life: u64,
}

impl SimFiles {
    pub(super) fn new(disk: SimDisk, life: u64) -> Self {
        Self { disk, life }
    }

    /// Runs one call, unless the process is dead or dies before it.
    fn call<R>(&self, run: impl FnOnce(&mut State) -> io::Result<R>) -> io::Result<R> {
        let mut state = self.disk.state();
        if state.is_dead(self.life) {
            return Err(gone());
        }
        if state.burn() {
            state.crashed = true;
            return Err(gone());
        }
        run(&mut state)
    }
}

impl State {
    fn is_dead(&self, life: u64) -> bool {
        self.crashed || self.life != life
    }

    /// Whether the fuse ends with this call.
    fn burn(&mut self) -> bool {
        match &mut self.fuse {
            Some(0 | 1) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// Whether this call meets a passing fault of the device.
    fn stumbles(&mut self) -> bool {
        let one_in = self.faults.errors_one_in;
        one_in > 0 && self.rng.below(one_in) == 0
    }

    fn inode(&mut self, id: u64) -> io::Result<&mut Inode> {
        self.contents.inodes.get_mut(&id).ok_or_else(not_found)
    }

    fn create(&mut self, path: &Path) -> io::Result<u64> {
        if let Some(&id) = self.contents.names.get(path) {
            let inode = self.inode(id)?;
            inode.content.clear();
            inode.pending.push(Pending::Truncate(0));
            return Ok(id);
        }
        if self.faults.full {
            return Err(no_room());
        }
        let id = self.contents.next_inode;
        self.contents.next_inode += 1;
        self.born += 1;
        self.contents.inodes.insert(id, Inode { birth: self.born, ..Inode::default() });
        self.contents.names.insert(path.to_owned(), id);
        self.contents.pending_names.push(Naming::Create(path.to_owned(), id));
        Ok(id)
    }

    fn write(&mut self, id: u64, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let inode = self.inode(id)?;
        write_at(&mut inode.content, offset, bytes);
        inode.pending.push(Pending::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    /// Writes as much as a failing call may: any beginning of it.
    fn write_some(&mut self, id: u64, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let part = self.rng.index(bytes.len() + 1);
        self.write(id, offset, &bytes[..part])
    }

    fn rename_dir(&mut self, from: &Path, to: &Path) {
        let contents = &mut self.contents;
        let moved = |path: &Path| path.strip_prefix(from).map_or_else(|_| path.to_owned(), |rest| to.join(rest));
        contents.names = contents.names.iter().map(|(path, id)| (moved(path), *id)).collect();
        contents.dirs = contents.dirs.iter().map(|path| moved(path)).collect();
        contents.make_safe();
    }
}

impl Files for SimFiles {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.call(|state| {
            state.contents.dirs.extend(dir.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn OpenFile>> {
        let id = self.call(|state| match access {
            Access::Create => state.create(path),
            Access::Read | Access::Write => state.contents.names.get(path).copied().ok_or_else(not_found),
        })?;
        Ok(Arc::new(SimFile { files: self.clone(), id }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.call(|state| {
            let inside = state.contents.names.keys().filter(|path| path.parent() == Some(dir));
            Ok(inside.filter_map(|path| path.file_name()).map(OsString::from).collect())
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.call(|state| Ok(state.contents.names.contains_key(path) || state.contents.dirs.contains(path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|state| {
            if state.contents.dirs.contains(from) {
                state.rename_dir(from, to);
                return Ok(());
            }
            let id = state.contents.names.remove(from).ok_or_else(not_found)?;
            state.contents.names.insert(to.to_owned(), id);
            state.contents.pending_names.push(Naming::Rename(from.to_owned(), to.to_owned(), id));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            state.contents.names.remove(path).ok_or_else(not_found)?;
            state.contents.pending_names.push(Naming::Remove(path.to_owned()));
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(|state| {
            if state.faults.lies {
                state.broken_promises = true;
                return Ok(());
            }
            if state.stumbles() {
                return Err(device());
            }
            let inside = |path: &Path| path.parent() == Some(dir);
            let contents = &mut state.contents;
            contents.safe_names.retain(|path, _| !inside(path));
            contents
                .safe_names
                .extend(contents.names.iter().filter(|(p, _)| inside(p)).map(|(p, id)| (p.clone(), *id)));
            contents.pending_names.retain(|naming| match naming {
                Naming::Create(path, _) | Naming::Rename(_, path, _) | Naming::Remove(path) => !inside(path),
            });
            contents.drop_nameless();
            Ok(())
        })
    }

    fn lock(&self, path: &Path, _note: &str) -> io::Result<Locked> {
        self.call(|state| {
            if state.held.contains_key(path) {
                return Ok(Locked::HeldBy("another process of the simulation".to_owned()));
            }
            state.held.insert(path.to_owned(), self.life);
            Ok(Locked::Taken(Box::new(Held { files: self.clone(), path: path.to_owned() })))
        })
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.disk.state().boot)
    }
}

#[derive(Debug)]
struct SimFile {
    files: SimFiles,
    id: u64,
}

impl OpenFile for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.files.call(|state| {
            let content = &state.inode(self.id)?.content;
            let from = usize::try_from(offset).map_or(content.len(), |offset| offset.min(content.len()));
            let count = buf.len().min(content.len() - from);
            buf[..count].copy_from_slice(&content[from..from + count]);
            Ok(count)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut state = self.files.disk.state();
        if state.is_dead(self.files.life) {
            return Err(gone());
        }
        if state.burn() {
            state.crashed = true;
            state.torn_writes += 1;
            state.write_some(self.id, offset, bytes)?;
            return Err(gone());
        }
        let grows = offset + bytes.len() > state.inode(self.id)?.content.len();
        if state.faults.full && grows {
            state.write_some(self.id, offset, bytes)?;
            return Err(no_room());
        }
        if state.stumbles() {
            state.write_some(self.id, offset, bytes)?;
            return Err(device());
        }
        state.last_writes.insert(self.id, offset);
        state.write(self.id, offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.files.call(|state| {
            if state.faults.lies {
                state.broken_promises = true;
                return Ok(());
            }
            let fails = state.stumbles();
            state.broken_promises |= fails;
            let inode = state.inode(self.id)?;
            if fails {
                // What could not be written is dropped by the system, and the next sync knows nothing of it.
                inode.pending.clear();
                inode.dropped = true;
                return Err(device());
            }
            inode.settle();
            Ok(())
        })
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.files.call(|state| {
            let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
            let inode = state.inode(self.id)?;
            inode.content.truncate(length);
            inode.pending.push(Pending::Truncate(length));
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.files.call(|state| Ok(state.inode(self.id)?.content.len() as u64))
    }

    fn birthmark(&self) -> String {
        let mut state = self.files.disk.state();
        state.inode(self.id).map(|inode| inode.birth.to_string()).unwrap_or_default()
    }
}

/// A lock held by a process of the simulation.
#[derive(Debug)]
struct Held {
    files: SimFiles,
    path: PathBuf,
}

impl Hold for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.files.disk.state();
        if state.held.get(&self.path) == Some(&self.files.life) {
            state.held.remove(&self.path);
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn no_room() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

fn device() -> io::Error {
    io::Error::other("the device failed")
}

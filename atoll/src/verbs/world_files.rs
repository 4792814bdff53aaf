//! A World from a file, or from all `*.toml` of a directory, with the master files of its zones. Bounded before it is read: what is
//! too large is refused by its size.

use std::{
    cell::Cell,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use model::{LoadedFile, World, ZoneFile, ZoneFileLimits};

use crate::exit::Misuse;

/// The most files of a directory.
const FILES_MAX: usize = 256;

/// Reads and validates a World. Errors are the caller's: a file that is not there, or what is wrong in it, line by line.
pub(crate) fn read(path: &Path) -> anyhow::Result<World> {
    let files = files_of(path)?;
    let disk = Disk::default();
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        let text = disk.read(&file)?;
        texts.push((file.display().to_string(), text));
    }
    let parts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let world = World::parse_files(&path.display().to_string(), &parts, Some(&|from, name| disk.load(from, name)));
    world.map_err(|errors| Misuse(errors.to_string()).into())
}

/// The same for a file whose text was read, or made, already.
pub(crate) fn parse(path: &Path, text: &str) -> Result<World, Misuse> {
    let (name, disk) = (path.display().to_string(), Disk::default());
    let world = World::parse_files(&name, &[(&name, text)], Some(&|from, name| disk.load(from, name)));
    world.map_err(|errors| Misuse(errors.to_string()))
}

/// Reads a zone from a master file, and validates it as far as that can be done without a World around it.
pub(crate) fn read_zone(path: &Path, origin: Option<&str>) -> Result<ZoneFile, Misuse> {
    let (name, disk) = (path.display().to_string(), Disk::default());
    let text = disk.read(path)?;
    let load = |from: &str, name: &str| disk.load(from, name);
    let read = ZoneFile::read(origin, (&name, &text), ZoneFileLimits::default(), &load);
    let read = read.map_err(|errors| Misuse(errors.to_string()))?;
    read.check().map_err(|errors| Misuse(errors.to_string()))?;
    Ok(read)
}

/// Files, as long as all of them together have no more bytes than a World may.
struct Disk {
    left: Cell<u64>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { left: Cell::new(World::TEXT_MAX as u64) }
    }
}

impl Disk {
    fn read(&self, file: &Path) -> Result<String, Misuse> {
        let text = read_one(file, self.left.get())?;
        self.left.set(self.left.get().saturating_sub(text.len() as u64));
        Ok(text)
    }

    /// A file that another one names, from the folder of that one.
    fn load(&self, from: &str, name: &str) -> Result<LoadedFile, String> {
        let file = Path::new(from).parent().unwrap_or(Path::new("")).join(name);
        let text = self.read(&file).map_err(|error| error.to_string())?;
        Ok(LoadedFile { name: file.display().to_string(), text })
    }
}

/// The file itself, or the directory's files in the order of their names. Hidden ones are some editor's, not the World's.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Misuse> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let cannot = |error: std::io::Error| Misuse(format!("{}: cannot be read: {error}", path.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(cannot)? {
        let file = entry.map_err(cannot)?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if file.extension().is_some_and(|extension| extension == "toml") && !hidden && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Misuse(format!("{}: there is no *.toml in this directory", path.display())));
    }
    if files.len() > FILES_MAX {
        let (have, path) = (files.len(), path.display());
        return Err(Misuse(format!("{path}: a world has at most {FILES_MAX} files, this directory has {have}")));
    }
    files.sort();
    Ok(files)
}

fn read_one(file: &Path, left: u64) -> Result<String, Misuse> {
    let name = file.display();
    let cannot = |error: std::io::Error| Misuse(format!("{name}: cannot be read: {error}"));
    let too_large = || {
        let most = World::TEXT_MAX;
        Misuse(format!("{name}: too large, and not read: all files of a world together have at most {most} bytes"))
    };
    let open = File::open(file).map_err(cannot)?;
    if open.metadata().map_err(cannot)?.len() > left {
        return Err(too_large());
    }
    // A pipe or a device tells no size beforehand.
    let mut bytes = Vec::new();
    open.take(left + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > left {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| Misuse(format!("{name}: not text: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("atoll-world-files-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn error(path: &Path) -> String {
        read(path).map_or_else(|error| error.to_string(), |_| "no error".into())
    }

    #[test]
    fn a_world_is_read_from_a_file_or_from_a_directory() {
        let dir = scratch("parts");
        let whole = World::default_toml(3, 0);
        let (first, second) = whole.split_at(whole.find("[[zone]]").unwrap());
        fs::write(dir.join("b-zones.toml"), second).unwrap();
        fs::write(dir.join("a-regions.toml"), first).unwrap();
        fs::write(dir.join(".b-zones.toml.swp.toml"), "half a").unwrap();
        fs::write(dir.join("notes.txt"), "not TOML").unwrap();
        fs::write(dir.join("whole"), &whole).unwrap();
        assert_eq!(read(&dir).unwrap(), read(&dir.join("whole")).unwrap());
        fs::write(dir.join("c.toml"), "name = \"other\"").unwrap();
        let said = error(&dir);
        assert!(
            said.contains("c.toml:1:8: name: this is said already in") && said.contains("a-regions.toml:4"),
            "{said}"
        );
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn zones_are_read_from_the_folder_of_what_names_them() {
        let dir = scratch("zones");
        fs::create_dir_all(dir.join("zones/parts")).unwrap();
        let zone = "[[zone]]\norigin = \"example.test\"\nfile = \"zones/example.zone\"\n";
        fs::write(dir.join("world.toml"), World::default_toml(3, 0) + zone).unwrap();
        let head = "$TTL 300\n@ SOA ns.else. mail 1 3600 600 86400 30\n@ NS ns.else.\n";
        fs::write(dir.join("zones/example.zone"), format!("{head}$INCLUDE parts/hosts sub\n")).unwrap();
        fs::write(dir.join("zones/parts/hosts"), "www A 192.0.2.1\n").unwrap();
        let world = read(&dir.join("world.toml")).unwrap();
        assert_eq!(world.zones[1].records[0].name, "www.sub");
        assert_eq!(
            parse(&dir.join("world.toml"), &fs::read_to_string(dir.join("world.toml")).unwrap()).unwrap(),
            world
        );
        let read = read_zone(&dir.join("zones/example.zone"), Some("example.test.")).unwrap();
        assert_eq!(read.zone, world.zones[1]);

        fs::write(dir.join("zones/parts/hosts"), "www A here\n").unwrap();
        let said = error(&dir.join("world.toml"));
        assert!(said.contains("zones/parts/hosts:1:7: ") && said.contains(", included at "), "{said}");
        fs::remove_file(dir.join("zones/parts/hosts")).unwrap();
        let said = error(&dir.join("world.toml"));
        assert!(said.contains("example.zone:4:10: ") && said.contains("parts/hosts: cannot be read"), "{said}");
        let large = File::create(dir.join("zones/parts/hosts")).unwrap();
        large.set_len(50 << 20).unwrap();
        assert!(error(&dir.join("world.toml")).contains("too large, and not read"));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_not_a_world_is_told_without_reading_more_than_a_world_may_have() {
        let dir = scratch("wrong");
        assert!(error(&dir).contains("no *.toml"));
        assert!(error(&dir.join("nothing.toml")).contains("cannot be read"));
        fs::write(dir.join("a.toml"), [0xff, 0xfe]).unwrap();
        assert!(error(&dir).contains("not text"));
        let large = File::create(dir.join("a.toml")).unwrap();
        large.set_len(50 << 20).unwrap();
        assert!(error(&dir).contains("too large, and not read"));
        // It tells no size and never ends.
        assert!(error(Path::new("/dev/zero")).contains("too large"));
        fs::remove_dir_all(dir).unwrap();
    }
}

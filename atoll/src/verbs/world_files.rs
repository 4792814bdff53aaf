//! A World from a file, or from all `*.toml` of a directory. Bounded before it is read: what is too large is refused by its size.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use model::World;

use crate::exit::Misuse;

/// The most files of a directory.
const FILES_MAX: usize = 256;

/// Reads and validates a World. Errors are the caller's: a file that is not there, or what is wrong in it, line by line.
pub(crate) fn read(path: &Path) -> anyhow::Result<World> {
    let files = files_of(path)?;
    let mut left = World::TEXT_MAX as u64;
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        let text = read_one(&file, left)?;
        left = left.saturating_sub(text.len() as u64);
        texts.push((file.display().to_string(), text));
    }
    let parts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    World::parse_files(&path.display().to_string(), &parts).map_err(|errors| Misuse(errors.to_string()).into())
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

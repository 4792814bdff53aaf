//! Whole files: what is read from them, what is wrong with them. Each case is a small folder of its own.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use expect_test::{Expect, expect};

use crate::{App, AppFile, Options, Problems, read};

mod pm2;
mod toml;

/// A folder that goes away with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// With these files; `!` before a name makes it executable.
    pub(crate) fn with(files: &[(&str, &str)]) -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("atoll-app-config-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let folder = Self(dir.canonicalize()?);
        for (name, text) in files {
            let path = folder.0.join(name.trim_start_matches('!'));
            fs::create_dir_all(path.parent().unwrap_or(&folder.0))?;
            fs::write(&path, text)?;
            if name.starts_with('!') {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
        }
        Ok(folder)
    }

    pub(crate) fn read(&self, file: &str, options: &Options<'_>) -> Result<AppFile, Problems> {
        read(&self.0.join(file), options)
    }

    /// What is shown of a result: apps as TOML, notes below; or errors. Paths of the folder are `…`.
    fn shown(&self, result: &Result<AppFile, Problems>) -> String {
        let text = match result {
            Ok(file) => {
                let apps = file.apps.iter().map(|app| app.to_toml(&[]));
                let notes =
                    file.notes.iter().map(|note| format!("{} {note}\n", if note.is_warning { "!" } else { "-" }));
                apps.chain(notes).collect()
            }
            Err(problems) => format!("{problems}\n"),
        };
        text.replace(&self.0.display().to_string(), "…")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder of a temporary directory that stays does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads the first of these files, on a machine with four cores.
fn check(files: &[(&str, &str)], wanted: &Expect) {
    check_env(files, None, wanted);
}

fn check_env(files: &[(&str, &str)], env: Option<&str>, wanted: &Expect) {
    let folder = Folder::with(files).unwrap_or_else(|error| panic!("{error:#}"));
    let found = folder.read(files[0].0, &Options { env, cores: 4 });
    wanted.assert_eq(&folder.shown(&found));
}

/// What is written as TOML reads back as the same app.
fn reads_back(app: &App, folder: &Folder) {
    let mut said = app.clone();
    said.env_file.clear();
    said.env_of_files.clear();
    fs::write(folder.0.join("again.toml"), said.to_toml(&["as it was".into()]))
        .unwrap_or_else(|error| panic!("{error}"));
    let again = folder.read("again.toml", &Options { env: None, cores: 4 });
    assert_eq!(again.map(|file| file.apps).map_err(|problems| problems.to_string()), Ok(vec![said]));
}

#[test]
fn a_name_says_the_form() {
    check(
        &[("app.ini", "x")],
        &expect![[r#"
        …/app.ini: it is neither TOML nor an ecosystem file (names end in .toml, .config.js, .config.cjs, .config.mjs, .json, .yaml or .yml)
    "#]],
    );
    let folder = Folder::with(&[]).unwrap();
    let gone = folder.read("gone.toml", &Options::default());
    assert!(folder.shown(&gone).contains("…/gone.toml: it cannot be read: No such file"), "{}", folder.shown(&gone));
}

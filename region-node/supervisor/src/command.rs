//! Finds the program before the first worker is started, so that a typing error is an answer and not a restart loop.

use std::{
    env,
    ffi::OsString,
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::spec::{AppSpec, StartError};

/// The program's full path, or why the app cannot run.
pub(crate) fn resolve(spec: &AppSpec) -> Result<PathBuf, StartError> {
    let app = spec.name.clone();
    let Some(program) = spec.command.first().filter(|program| !program.is_empty()) else {
        return Err(StartError::NoCommand { app });
    };
    if spec.instances == 0 {
        return Err(StartError::NoInstances { app });
    }
    if let Some(cwd) = spec.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
        return Err(StartError::NoDirectory { app, cwd: cwd.clone() });
    }
    let (candidates, place) = candidates(spec, program);
    let files: Vec<(PathBuf, Metadata)> = candidates
        .into_iter()
        .filter_map(|path| path.metadata().ok().filter(Metadata::is_file).map(|meta| (path, meta)))
        .collect();
    let program = program.clone();
    if files.is_empty() {
        return Err(StartError::NotFound { app, program, place });
    }
    let executable = files.into_iter().find(|(_, meta)| meta.permissions().mode() & 0o111 != 0);
    executable.map(|(path, _)| path).ok_or(StartError::NotExecutable { app, program })
}

/// Whether the program is Node.js, Bun or a script of theirs, and so gets an IPC channel unasked. Others would pass its number
/// on to a Node.js that they start, perhaps without the socket behind it, which ends that one at once.
pub(crate) fn is_node(program: &Path) -> bool {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let names = |path: &Path| path.file_name().is_some_and(|name| name == "node" || name == "nodejs" || name == "bun");
    if names(program) || names(&real) {
        return true;
    }
    let mut head = [0; 128];
    let read = File::open(&real).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    let first = head[..read].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    first
        .strip_prefix("#!")
        .is_some_and(|line| line.split(['/', ' ']).any(|word| matches!(word.trim(), "node" | "nodejs" | "bun")))
}

/// Where the program may be, and how to say that.
fn candidates(spec: &AppSpec, program: &str) -> (Vec<PathBuf>, String) {
    let base = match &spec.cwd {
        Some(cwd) => cwd.clone(),
        None => env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
    };
    // A relative directory must not be taken for relative to itself once the worker has moved there.
    let base = base.canonicalize().unwrap_or(base);
    if program.contains('/') {
        return (vec![base.join(program)], format!("in {}", base.display()));
    }
    let path = spec.env.get("PATH").map(OsString::from).or_else(|| env::var_os("PATH")).unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| base.join(folder).join(Path::new(program))).collect();
    (found, "in PATH".to_owned())
}

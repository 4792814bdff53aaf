//! The shell: a path in, apps out. Files are read here, and nowhere else in this crate but for Node's turn in `pm2/node.rs`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use crate::{
    app::App,
    env_file, pm2,
    problem::{Note, Place, Problem, Problems},
    toml_file::{self, join},
    validate,
};

/// What reading depends on besides the file.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Which `env_NAME` of an ecosystem file is taken, as with PM2's `--env`.
    pub env: Option<&'a str>,
    /// Cores of this machine.
    pub cores: usize,
}

impl Default for Options<'_> {
    /// This machine's cores, no special environment.
    fn default() -> Self {
        Self { env: None, cores: std::thread::available_parallelism().map_or(1, usize::from) }
    }
}

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Our TOML.
    Toml,
    /// An ecosystem file of PM2's.
    Pm2,
}

/// An app file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct AppFile {
    /// Its form.
    pub form: Form,
    /// At least one; names differ.
    pub apps: Vec<App>,
    /// What whoever wrote it should know.
    pub notes: Vec<Note>,
}

/// Reads an app file of any form, and the `.env` files that it names. Paths in it become absolute.
pub fn read(file: &Path, options: &Options<'_>) -> Result<AppFile, Problems> {
    let shown = file.display().to_string();
    let fail = |problem: Problem| Problems::one(&shown, problem);
    let path = file.canonicalize().map_err(|error| fail(Problem::new("", format!("it cannot be read: {error}"))))?;
    let base = path.parent().unwrap_or(Path::new("/")).to_owned();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (form, said, notes) = match pm2::form(&name) {
        Some(form) => {
            let value = pm2::load(form, &path, &shown)?;
            let read = pm2::apps(&value, &pm2::Around { base: &base, env: options.env });
            (Form::Pm2, read.said, read.notes)
        }
        None if name.ends_with(".toml") => (Form::Toml, toml_file::parse(&text(&path, &shown)?), Vec::new()),
        None => {
            let what = "it is neither TOML nor an ecosystem file";
            let hint = "names end in .toml, .config.js, .config.cjs, .config.mjs, .json, .yaml or .yml";
            return Err(fail(Problem::new("", what).hint(hint)));
        }
    };
    let toml_file::Said { mut apps, places, keys, mut problems } = said;
    if apps.is_empty() && problems.is_empty() {
        problems.push(Problem::new("", "there is no app in it"));
    }
    if problems.is_empty() {
        for (app, key) in apps.iter_mut().zip(&keys) {
            resolve(app, key, &base, &mut problems);
        }
        problems.extend(validate::check(&apps, &keys, options.cores));
    }
    if problems.is_empty() {
        return Ok(AppFile { form, apps, notes });
    }
    Err(Problems::of(&shown, problems.into_iter().map(|problem| located(problem, &places)).collect()))
}

/// Checks one app that came in another way than by a file, such as the `[app]` of a region's configuration. `base` is where its
/// relative paths begin.
pub fn check_one(mut app: App, base: &Path, file: &str, options: &Options<'_>) -> Result<App, Problems> {
    let mut problems = Vec::new();
    resolve(&mut app, "app", base, &mut problems);
    problems.extend(validate::check(std::slice::from_ref(&app), &["app".into()], options.cores));
    if problems.is_empty() { Ok(app) } else { Err(Problems::of(file, problems)) }
}

/// Gives a problem its key's place, else the nearest one around it.
fn located(problem: Problem, places: &BTreeMap<String, Place>) -> Problem {
    if problem.place.is_some() {
        return problem;
    }
    let mut key = problem.key.as_str();
    loop {
        if let Some(place) = places.get(key) {
            return problem.clone().at(Some(*place));
        }
        match key.rfind('.') {
            Some(dot) => key = &key[..dot],
            None => return problem.clone().at(places.get("").copied()),
        }
    }
}

/// Makes paths absolute, reads `.env` files, and looks whether what shall be run is there.
fn resolve(app: &mut App, key: &str, base: &Path, problems: &mut Vec<Problem>) {
    app.cwd = tidy(&base.join(&app.cwd));
    let is_there = app.cwd.is_dir();
    if !is_there {
        let what = format!("there is no directory {}", app.cwd.display());
        problems.push(Problem::new(join(key, "cwd"), what).hint("create it, or correct `cwd`"));
    }
    for file in app.env_file.clone() {
        let path = base.join(&file);
        match env_of(&path) {
            Ok(variables) => app.env_of_files.extend(variables),
            Err(problem) => {
                let at = problem.place.map(|place| format!(":{}", place.line)).unwrap_or_default();
                problems.push(Problem::new(join(key, "env_file"), format!("{}{at}: {}", path.display(), problem.what)));
            }
        }
    }
    if let Some(file) = &mut app.log.file {
        let whole = tidy(&base.join(&*file));
        if whole.is_dir() {
            problems.push(Problem::new(join(key, "log.file"), format!("{} is a directory", whole.display())));
        }
        *file = whole.display().to_string();
    }
    if let Some(fallback) = &mut app.protect.fallback {
        let whole = tidy(&base.join(&*fallback));
        if !whole.is_file() {
            let what = format!("there is no file {}", whole.display());
            problems.push(Problem::new(join(key, "protect.fallback"), what));
        }
        *fallback = whole.display().to_string();
    }
    if let (Some(program), true) = (app.command.first(), is_there)
        && let Err((what, hint)) = find_program(program, &app.cwd)
    {
        problems.push(Problem::new(join(key, "command"), what).hint(hint));
    }
}

/// Without `.` in it; `..` stays, since it may follow a link.
fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

fn find_program(program: &str, cwd: &Path) -> Result<(), (String, String)> {
    use std::os::unix::fs::PermissionsExt;
    let is_executable =
        |path: &Path| fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        let path = cwd.join(program);
        if is_executable(&path) {
            return Ok(());
        }
        return Err(if path.is_file() {
            let hint =
                format!("run `chmod +x {program}`, or put its interpreter before it, like [\"node\", \"{program}\"]");
            (format!("{} is not executable", path.display()), hint)
        } else {
            (format!("there is no program {}", path.display()), "correct `command` or `cwd`".into())
        });
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| is_executable(&dir.join(program))) {
        return Ok(());
    }
    let beside = cwd.join(program);
    let hint = if beside.is_file() {
        format!("write \"./{program}\" for the one in `cwd`")
    } else {
        "install it, or give its path".into()
    };
    Err((format!("there is no program `{program}` in PATH"), hint))
}

fn env_of(path: &Path) -> Result<BTreeMap<String, String>, Problem> {
    let bytes = bounded(path, env_file::MOST).map_err(|why| Problem::new("", why))?;
    let text = String::from_utf8(bytes).map_err(|_| Problem::new("", "it is not UTF-8"))?;
    env_file::parse(&text)
}

/// The text of an app file.
pub(crate) fn text(path: &Path, shown: &str) -> Result<String, Problems> {
    let bytes = bounded(path, toml_file::MOST).map_err(|why| Problems::one(shown, Problem::new("", why)))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problems::one(shown, Problem::new("", format!("it is not UTF-8, from byte {at} on")))
    })
}

/// A file that is not larger than that. What is no plain file is refused before it is opened: a pipe would keep the reader waiting.
fn bounded(path: &Path, most: usize) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("it is not a file".into());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(unreadable)?.take(most as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > most { Err(format!("it is larger than {most} bytes")) } else { Ok(bytes) }
}

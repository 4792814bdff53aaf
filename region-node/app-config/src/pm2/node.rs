//! Node's turn: what an ecosystem file that is a program exports. Bounded in time and size; Node's own error is passed on with its line.
//!
//! The program prints JSON to a descriptor of its own, so that whatever the file prints does no harm. `require` and `import` both work
//! on it, whichever way the file is a module.

use std::{
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value as Raw;

use crate::problem::{Place, Problem, Problems};

/// How long a file may think.
const WITHIN: Duration = Duration::from_secs(10);
/// The most that is read of what it exports, bytes.
const MOST: u64 = 1 << 20;
/// The most that is read of an error.
const ERROR_MOST: u64 = 64 << 10;
const LOOK_EVERY: Duration = Duration::from_millis(5);
const MARK: &str = "\u{1}atoll\u{1}";

/// Loads a module, and prints what it exports behind a mark, since the file may print things, too.
const EXPORTED: &str = r#"
const path = require('node:path'), url = require('node:url');
const file = path.resolve(process.argv[1]);
const say = (value) => {
  const text = JSON.stringify(value && value.default && !value.apps ? value.default : value);
  process.stdout.write('\u0001atoll\u0001' + (text === undefined ? 'null' : text), () => process.exit(0));
};
const fail = (error) => { console.error(error && error.stack || String(error)); process.exit(1); };
const asModule = () => import(url.pathToFileURL(file));
const load = async () => {
  if (file.endsWith('.mjs')) return asModule();
  try { return require(file); } catch (error) {
    if (error && error.code === 'ERR_REQUIRE_ESM') return asModule();
    throw error;
  }
};
load().then(say, fail);
"#;

/// Reads a file as PM2 reads `.json`: as a literal of JavaScript.
const LITERAL: &str = r#"
const fs = require('node:fs'), vm = require('node:vm');
const file = process.argv[1];
try {
  const value = vm.runInNewContext('(' + fs.readFileSync(file, 'utf8') + '\n)', {}, { filename: file, timeout: 1000 });
  process.stdout.write('\u0001atoll\u0001' + JSON.stringify(value), () => process.exit(0));
} catch (error) { console.error(error && error.stack || String(error)); process.exit(1); }
"#;

/// Why there is no value.
pub(super) enum Failed {
    /// There is no Node on this machine.
    NoNode,
    /// What Node said.
    Said(Problems),
}

/// What a program exports.
pub(super) fn exported(path: &Path, shown: &str) -> Result<Raw, Problems> {
    ask(EXPORTED, path, shown, WITHIN).map_err(|failed| match failed {
        Failed::Said(problems) => problems,
        Failed::NoNode => {
            let problem = Problem::new("", "it is a program, and there is no `node` in PATH to read it");
            Problems::one(shown, problem.hint("install Node.js, or write the file as JSON, YAML or TOML"))
        }
    })
}

/// The value of a literal of JavaScript.
pub(super) fn literal(path: &Path, shown: &str) -> Result<Raw, Failed> {
    ask(LITERAL, path, shown, WITHIN)
}

fn ask(program: &str, path: &Path, shown: &str, within: Duration) -> Result<Raw, Failed> {
    let said = |problem: Problem| Failed::Said(Problems::one(shown, problem));
    let mut command = Command::new("node");
    command.args(["-e", program]).arg(path).current_dir(path.parent().unwrap_or(Path::new("/")));
    // What the caller's Node was told is not meant for this one.
    command.env_remove("NODE_OPTIONS").env_remove("NODE_CHANNEL_FD").stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|_| Failed::NoNode)?;
    let out = child.stdout.take().map(|pipe| thread::spawn(move || read(pipe, MOST)));
    let error = child.stderr.take().map(|pipe| thread::spawn(move || read(pipe, ERROR_MOST)));
    let ended = wait(&mut child, within);
    if ended.is_none() {
        // Its pipes may be held open by children of its own: nobody waits for the threads that read them.
        let what = format!("node was not done with it after {} s", within.as_secs());
        return Err(said(Problem::new("", what).hint("an ecosystem file exports a value, and does nothing else")));
    }
    let joined =
        |thread: Option<thread::JoinHandle<String>>| thread.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let (out, error) = (joined(out), joined(error));
    match out.rsplit_once(MARK) {
        Some((_, json)) if ended == Some(true) => serde_json::from_str(json).map_err(|_| {
            said(Problem::new("", format!("what it exports is longer than {MOST} bytes, or is not whole")))
        }),
        _ => Err(said(of_node(&error, path))),
    }
}

/// What Node said of an error: the message, and where in the file.
fn of_node(error: &str, path: &Path) -> Problem {
    let name = path.display().to_string();
    // `file:LINE` heads a syntax error; `(file:LINE:COLUMN)` stands in a stack.
    let place = error.match_indices(&name).find_map(|(at, _)| {
        let mut numbers = error[at + name.len()..].strip_prefix(':')?.split(|c: char| !c.is_ascii_digit());
        let line = numbers.next()?.parse().ok()?;
        let column = numbers.next().and_then(|n| n.parse().ok()).unwrap_or(1);
        Some(Place { line, column })
    });
    let message = error.lines().find(|line| {
        let head = line.split(':').next().unwrap_or_default();
        head.ends_with("Error") || head.ends_with(']')
    });
    let first = || error.lines().find(|line| !line.trim().is_empty());
    let what = message.or_else(first).unwrap_or("it exports nothing that is JSON");
    let what: String = what.chars().take(300).collect();
    Problem::new("", format!("node: {}", what.trim())).at(place)
}

/// Whether it ended well; `None` if it had to be killed. Looks are counted instead of time, so that a machine that slept meanwhile is
/// no reason to give up.
fn wait(child: &mut Child, within: Duration) -> Option<bool> {
    for _ in 0..within.as_millis() / LOOK_EVERY.as_millis() {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) => thread::sleep(LOOK_EVERY),
            Err(_) => break,
        }
    }
    // Gone in between is as good.
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn read(pipe: impl Read, most: u64) -> String {
    let mut bytes = Vec::new();
    let mut pipe = pipe.take(most);
    // A pipe that breaks ends what is read.
    let _ = pipe.read_to_end(&mut bytes);
    // What comes beyond is read away, so that the writer does not wait for ever.
    let _ = std::io::copy(&mut pipe.into_inner(), &mut std::io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_given_up() {
        let forever = "setInterval(() => {}, 1000)";
        let failed = ask(forever, Path::new("/"), "x.config.js", Duration::from_millis(300));
        let Err(Failed::Said(problems)) = failed else { panic!("it ended, or there is no node") };
        assert!(problems.to_string().contains("node was not done with it"), "{problems}");
    }
}

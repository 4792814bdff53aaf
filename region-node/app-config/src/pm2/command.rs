//! What PM2 would run for a script: program and arguments. Rules of `lib/Common.js` (`verifyConfs`, `prepareAppConf`,
//! `resolveInterpreter`) and `lib/API/interpreter.json` of PM2 7.0. Files are looked at through [`Look`].

use std::path::Path;

/// What a script is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// No file of that name, seen from the working directory.
    Missing,
    /// A program of the machine's own kind.
    Binary,
    /// A text that says its interpreter, and may be run.
    Script,
    /// Any other text.
    Text,
}

/// Looks at a file.
pub(super) fn look(path: &Path) -> Look {
    use std::{fs, io::Read, os::unix::fs::PermissionsExt};
    let Ok(meta) = fs::metadata(path) else { return Look::Missing };
    if !meta.is_file() {
        return Look::Missing;
    }
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(512).read_to_end(&mut head));
    if read.is_err() || head.contains(&0) {
        return Look::Binary;
    }
    let is_executable = meta.permissions().mode() & 0o111 != 0;
    if head.starts_with(b"#!") && is_executable { Look::Script } else { Look::Text }
}

/// How a script is said to be run.
#[derive(Debug, Default, Clone)]
pub(super) struct Said {
    pub(super) script: String,
    pub(super) args: Vec<String>,
    pub(super) interpreter: Option<String>,
    pub(super) node_args: Vec<String>,
    pub(super) source_maps: bool,
}

/// A command, and what is to be told of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) words: Vec<String>,
    /// Python holds its output back unless told otherwise; PM2 tells it.
    pub(super) is_python: bool,
    /// Key and note.
    pub(super) note: Option<(&'static str, String)>,
}

/// The command of a script. `has` says whether a program is in `PATH`.
pub(super) fn command(said: &Said, look: Look, has: &dyn Fn(&str) -> bool) -> Command {
    let Said { script, args, .. } = said;
    // As PM2 does: a line for the shell, whose other arguments are dropped.
    if script.contains(' ') {
        let shell = if has("bash") { "bash" } else { "sh" };
        return Command { words: vec![shell.into(), "-c".into(), script.clone()], ..Command::default() };
    }
    let mut note = None;
    let interpreter = match said.interpreter.as_deref() {
        Some(node) if node.starts_with("node@") => {
            note = Some((
                "interpreter",
                format!("`{node}` is the `node` of PATH here: give the path of that version instead"),
            ));
            "node".to_owned()
        }
        Some(said) => said.to_owned(),
        None => by_ending(script, look, has),
    };
    if interpreter == "none" {
        let program =
            if look == Look::Missing || script.contains('/') { script.clone() } else { format!("./{script}") };
        if matches!(script.as_str(), "npm" | "yarn" | "pnpm" | "npx") {
            let what =
                format!("`{script}` stays between: name the program that it starts, and workers stop and start sooner");
            note = Some(("script", what));
        }
        let words = std::iter::once(program).chain(args.iter().cloned()).collect();
        return Command { words, is_python: false, note };
    }
    let is_node = interpreter.rsplit('/').next() == Some("node");
    let maps = (said.source_maps && is_node).then(|| "--enable-source-maps".to_owned());
    let before = maps.into_iter().chain(said.node_args.iter().cloned());
    let words = std::iter::once(interpreter.clone()).chain(before).chain([script.clone()]).chain(args.iter().cloned());
    Command { words: words.collect(), is_python: interpreter.contains("python"), note }
}

/// `none` for what runs by itself.
fn by_ending(script: &str, look: Look, has: &dyn Fn(&str) -> bool) -> String {
    if look == Look::Missing && has(script) {
        return "none".into();
    }
    let name = script.rsplit('/').next().unwrap_or(script);
    let ending = name.rfind('.').filter(|at| *at > 0).map_or("", |at| &name[at..]);
    match ending {
        ".sh" => "bash",
        ".py" if !has("python") => "python3",
        ".py" => "python",
        ".rb" => "ruby",
        ".php" => "php",
        ".pl" => "perl",
        ".coffee" => "coffee",
        ".ls" => "lsc",
        ".ts" | ".tsx" => "bun",
        ".js" | ".cjs" | ".mjs" => "node",
        _ if matches!(look, Look::Binary | Look::Script) => "none",
        _ => "node",
    }
    .into()
}

/// A text of arguments as PM2 splits it (`Config._valid`): quotes hold together, and fall away around a whole argument.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut quote = None;
        let end = rest.char_indices().find(|(at, c)| match quote {
            Some(open) if *c == open => {
                quote = None;
                false
            }
            Some(_) => false,
            // Quotes open a word, or follow the `=` of an option.
            None if matches!(c, '"' | '\'') && (*at == 0 || rest[..*at].ends_with('=')) => {
                quote = Some(*c);
                false
            }
            None => c.is_whitespace(),
        });
        let end = end.map_or(rest.len(), |(at, _)| at);
        let word = &rest[..end];
        let is_quoted = matches!(first, '"' | '\'') && word.len() >= 2 && word.ends_with(first);
        words.push(if is_quoted { word[1..word.len() - 1].to_owned() } else { word.to_owned() });
        rest = rest[end..].trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_run_as_pm2_runs_them() {
        let has = |name: &str| matches!(name, "bash" | "npm" | "node" | "python3");
        let said = |script: &str| Said { script: script.into(), ..Said::default() };
        for (script, look, wanted) in [
            ("server.js", Look::Text, "node server.js"),
            ("dist/main.mjs", Look::Text, "node dist/main.mjs"),
            ("job.py", Look::Text, "python3 job.py"),
            ("run.sh", Look::Text, "bash run.sh"),
            ("main.ts", Look::Text, "bun main.ts"),
            ("bin/www", Look::Text, "node bin/www"),
            ("server", Look::Binary, "./server"),
            ("bin/tool", Look::Script, "bin/tool"),
            ("npm", Look::Missing, "npm"),
            ("/opt/app/server", Look::Binary, "/opt/app/server"),
            (".hidden", Look::Text, "node .hidden"),
            ("absent.js", Look::Missing, "node absent.js"),
            ("node server.js | tee log", Look::Missing, "bash -c node server.js | tee log"),
        ] {
            assert_eq!(command(&said(script), look, &has).words.join(" "), wanted, "{script}");
        }
        let full = Said {
            script: "server.js".into(),
            args: split("--port 1 --title=\"a b\" 'c d'"),
            interpreter: Some("/opt/node/bin/node".into()),
            node_args: split("--max-old-space-size=512"),
            source_maps: true,
        };
        assert_eq!(
            command(&full, Look::Text, &has).words,
            [
                "/opt/node/bin/node",
                "--enable-source-maps",
                "--max-old-space-size=512",
                "server.js",
                "--port",
                "1",
                "--title=\"a b\"",
                "c d"
            ]
        );
    }
}

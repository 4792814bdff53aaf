//! App files without a world: what they would run, and the same as TOML.

use std::fmt::Write;

use app_config::{App, AppFile, Form, LiveCheck, Note, Options, Ready};
use serde_json::json;

use crate::{
    cli::AppFileArgs,
    exit::{Exit, Misuse},
    output::{self, Paint},
};

pub(super) fn check(args: &AppFileArgs, is_json: bool) -> anyhow::Result<Exit> {
    let file = read(args)?;
    let cores = Options::default().cores;
    if is_json {
        output::say_json(&as_json(&file, cores))?;
    } else {
        output::say(as_text(&file, cores, Paint::for_stdout()));
    }
    Ok(Exit::Done)
}

pub(super) fn convert(args: &AppFileArgs) -> anyhow::Result<Exit> {
    let file = read(args)?;
    let here = args.file.canonicalize()?;
    let base = here.parent().map(|base| base.display().to_string()).unwrap_or_default();
    let tables = file.apps.iter().map(|app| {
        let notes = file.notes.iter().filter(|note| note.app == app.name || note.app.is_empty());
        let comments: Vec<String> = notes.map(Note::to_string).collect();
        // Where a file is, its folder need not be said.
        let mut app = app.clone();
        if app.cwd.display().to_string() == base {
            app.cwd = Default::default();
        }
        app.to_toml(&comments)
    });
    output::say(tables.collect::<Vec<_>>().join("\n").trim_end());
    Ok(Exit::Done)
}

fn read(args: &AppFileArgs) -> anyhow::Result<AppFile> {
    let options = Options { env: args.env.as_deref(), ..Options::default() };
    app_config::read(&args.file, &options).map_err(|problems| Misuse(problems.to_string()).into())
}

fn as_text(file: &AppFile, cores: usize, paint: Paint) -> String {
    let mut text = String::new();
    for app in &file.apps {
        let workers = match app.instances.on(cores) {
            1 => "1 worker".to_owned(),
            count => format!("{count} workers"),
        };
        let _ = writeln!(text, "{}  {workers} of {}", paint.good(&app.name), words(&app.command));
        let _ = writeln!(text, "  in       {}", app.cwd.display());
        let _ = writeln!(text, "  users    {}", routes(app));
        if !app.internal.is_empty() && app.ready != Ready::Started {
            let _ = writeln!(text, "  apps     http://{}.internal", app.internal);
        }
        let _ = writeln!(text, "  ready    {}", readiness(app));
        if !app.restart_at.is_empty() {
            let times: Vec<String> = app.restart_at.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "  restart  at {}, local time", times.join(" and "));
        }
        match app.environment().len() {
            0 => {}
            1 => text += "  env      1 variable of its own\n",
            count => {
                let _ = writeln!(text, "  env      {count} variables of its own");
            }
        }
    }
    for note in &file.notes {
        let head = if note.is_warning { paint.warn("warning") } else { paint.dim("note") };
        let _ = writeln!(text, "{head} {note}");
    }
    text.trim_end().to_owned()
}

/// A command as one would type it.
fn words(command: &[String]) -> String {
    let quoted = |word: &String| {
        let is_plain = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=:,@+".contains(&b));
        if is_plain { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    command.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn routes(app: &App) -> String {
    if !app.public {
        return "none".into();
    }
    if app.is_default() {
        return "whatever no other app takes".into();
    }
    let each =
        app.routes().into_iter().map(|(host, path)| if host.is_empty() { path } else { format!("{host}{path}") });
    each.collect::<Vec<_>>().join(", ")
}

fn readiness(app: &App) -> String {
    let how = match &app.ready {
        Ready::Http => format!("GET {} answers 2xx, or 404", app.health),
        Ready::Tcp => "when it listens".into(),
        Ready::Log(text) => format!("at a line with `{text}`"),
        Ready::SdNotify => "when it says READY=1".into(),
        Ready::Ipc => "at process.send('ready')".into(),
        Ready::Started => return "when it has run for a second".into(),
    };
    let looked = match app.liveness.check {
        LiveCheck::Health if app.ready != Ready::Http => format!("; then GET {}", app.health),
        _ => String::new(),
    };
    format!("{how}, within {} s{looked}", app.ready_timeout.as_secs())
}

fn as_json(file: &AppFile, cores: usize) -> serde_json::Value {
    let apps = file.apps.iter().map(|app| {
        json!({
            "name": app.name,
            "command": app.command,
            "instances": app.instances.on(cores),
            "cwd": app.cwd,
            "public": app.public,
            "routes": app.routes().into_iter().map(|(host, path)| json!({ "host": host, "path": path })).collect::<Vec<_>>(),
            "internal": app.internal,
            "env": app.environment().into_keys().collect::<Vec<_>>(),
            "toml": app.to_toml(&[]),
        })
    });
    let notes = file
        .notes
        .iter()
        .map(|note| json!({ "app": note.app, "key": note.key, "what": note.what, "warning": note.is_warning }));
    json!({
        "form": match file.form { Form::Toml => "toml", Form::Pm2 => "pm2" },
        "apps": apps.collect::<Vec<_>>(),
        "notes": notes.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_told_in_a_few_lines() {
        let app = App {
            name: "api".into(),
            command: vec!["node".into(), "server.js".into()],
            restart_at: vec!["0 3 * * *".parse().unwrap()],
            env: [("A".to_owned(), "b".to_owned())].into(),
            ..App::default()
        };
        let file = AppFile { form: Form::Toml, apps: vec![app], notes: Vec::new() };
        expect_test::expect![[r#"
            api  1 worker of node server.js
              in       
              users    whatever no other app takes
              ready    GET /healthz answers 2xx, or 404, within 30 s
              restart  at 0 3 * * *, local time
              env      1 variable of its own
        "#]]
        .assert_eq(&(as_text(&file, 2, Paint::none()) + "\n"));
    }

    #[test]
    fn commands_are_shown_as_one_would_type_them() {
        let command = ["node", "--a=b", "it's", "", "a b"].map(str::to_owned);
        assert_eq!(words(&command), r"node --a=b 'it'\''s' '' 'a b'");
    }
}

//! The README's tour, run as a reader would: every command of its five minutes, in its order, against one world.
//!
//! A block that begins with "$ " lines is a dialogue: each command is run, and each line of output that the README shows must be
//! there, word for word, where `…` stands for whatever it is on the day.

use std::{path::Path, process::Command};

use crate::world::{Scratch, Up, binary, free_net, text};

/// A command and the output that the README shows below it.
#[derive(Debug)]
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The steps between `<!-- tour -->` and `<!-- /tour -->`.
fn steps(readme: &str) -> Vec<Step> {
    let tour =
        readme.split("<!-- tour -->").nth(1).and_then(|rest| rest.split("<!-- /tour -->").next()).expect("a tour");
    let mut steps: Vec<Step> = Vec::new();
    let mut in_block = false;
    for line in tour.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), shown: Vec::new() });
        } else if let Some(step) = steps.last_mut().filter(|_| !line.trim().is_empty()) {
            step.shown.push(line.trim_end().to_owned());
        }
    }
    steps
}

/// Whether a line is what the README shows: the parts around each `…` in their order, spaces counted as one.
fn matches(shown: &str, line: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, line) = (squeeze(shown), squeeze(line));
    let mut rest = line.as_str();
    let parts: Vec<&str> = shown.split('…').map(str::trim).collect();
    for (number, part) in parts.iter().enumerate() {
        let Some(at) = rest.find(part) else { return false };
        if number == 0 && at != 0 && !shown.starts_with('…') {
            return false;
        }
        rest = &rest[at + part.len()..];
    }
    rest.trim().is_empty() || shown.ends_with('…')
}

#[test]
fn the_tour_of_the_readme_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let steps = steps(&readme);
    assert!(steps.len() >= 8, "a tour of {} steps", steps.len());

    let scratch = Scratch::new("tour");
    let net = free_net();
    let up = Up::start(&scratch.0.join("w"), &["--net", &net.to_string()]);
    let bin = scratch.0.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(binary(), bin.join("atoll")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for step in steps.iter().filter(|step| !step.command.starts_with("cargo ")) {
        // The reader's world is at 127.0; this one must not meet it.
        let command = step.command.replace("127.0.", &format!("127.{net}."));
        let output = Command::new("sh")
            .args(["-c", &command])
            .env("PATH", &path)
            .env("ATOLL_DATA", &up.data)
            .current_dir(root)
            .output()
            .unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        let said = said.replace(&format!("127.{net}."), "127.0.");
        let mut lines = said.lines();
        for shown in &step.shown {
            assert!(
                lines.any(|line| matches(shown, line)),
                "`{}`\nshould say  {shown}\nbut said\n{said}",
                step.command
            );
        }
    }
    assert_eq!(up.stop(), 0);
}

#[test]
fn the_matcher_of_shown_lines_is_strict_but_for_the_dots() {
    assert!(matches("a  b", "a b"));
    assert!(matches("plan …  leader …", "plan 77:4   leader us-east"));
    assert!(matches("PASS …", "PASS  lose-region eu-west"));
    assert!(!matches("a b", "a b c"));
    assert!(!matches("plan … leader …", "plan 7"));
    assert!(!matches("b", "a b"));
}

//! Checks: timings in range, and nothing said that the kind of check would not look at.

use super::{Faults, dns_name::fault_of_name};
use crate::{
    Check, CheckKind, RegionName, World,
    errors::{KeyPath, did_you_mean},
    limits,
};

pub(super) fn check(world: &World, faults: &mut Faults) {
    let root = KeyPath::root().key("check");
    faults.size(&root, "checks", world.checks.len(), 0..=World::POOLS_MAX as u64);
    for (name, check) in &world.checks {
        let path = root.key(name);
        check_label(name, &path, faults);
        check_timings(check, &path, faults);
        check_what_is_asked(check, &path, faults);
        check_command(check, &path, faults);
        check_what_is_heard(check, &path, faults);
    }
}

/// Names of checks and pools stand in metrics and command lines, so they obey the rule of region names.
pub(super) fn check_label(name: &str, path: &KeyPath, faults: &mut Faults) {
    if let Err(error) = RegionName::new(name) {
        faults.add(path.clone(), format!("`{name}` cannot be a name: {}", error.why));
    }
}

/// The check that is named is there.
pub(super) fn check_reference(world: &World, check: &str, path: &KeyPath, faults: &mut Faults) {
    if !world.checks.contains_key(check) {
        let hint = did_you_mean(check, world.checks.keys().map(String::as_str));
        faults.add_with(path.clone(), format!("there is no check `{check}`"), hint);
    }
}

fn check_timings(check: &Check, path: &KeyPath, faults: &mut Faults) {
    faults.range(path.key("interval_ms"), "an interval (ms)", check.interval_ms, limits::INTERVAL_MS);
    faults.range(path.key("timeout_ms"), "a timeout (ms)", check.timeout_ms, limits::TIMEOUT_MS);
    faults.range(path.key("down_after"), "failures", check.down_after.into(), limits::DOWN_AFTER);
    faults.range(path.key("up_after"), "successes", check.up_after.into(), limits::UP_AFTER);
    if check.timeout_ms > check.interval_ms.saturating_mul(10) {
        let what = "a timeout of more than ten intervals would pile up unanswered probes";
        faults.add(path.key("timeout_ms"), what);
    }
}

/// Path, host, service and port: what a probe asks for, and whom.
fn check_what_is_asked(check: &Check, path: &KeyPath, faults: &mut Faults) {
    use CheckKind::{Grpc, Http, Https};
    if let Some(port) = check.port {
        faults.range(path.key("port"), "a port", port.into(), limits::PORT);
    }
    if matches!(check.kind, Http | Https) {
        check_path(&check.path, &path.key("path"), faults);
    } else if check.path != Check::default().path {
        says_nothing(path.key("path"), "a path", "\"http\" or \"https\"", faults);
    }
    match &check.host {
        Some(_) if !matches!(check.kind, Http | Https | Grpc) => {
            says_nothing(path.key("host"), "a host", "\"http\", \"https\" or \"grpc\"", faults);
        }
        Some(host) if host.parse::<std::net::IpAddr>().is_ok() => {
            let hint = "a probe goes to the region's gateway; `host` is the name that it asks for there".to_owned();
            faults.add_with(path.key("host"), format!("`{host}` is an address, not a host name"), hint);
        }
        Some(host) => {
            let escape = host.contains('\\').then(|| "a backslash has no place in it".to_owned());
            if let Some(fault) = escape.or_else(|| fault_of_name(host)) {
                faults.add(path.key("host"), format!("`{host}` is not a host name: {fault}"));
            }
        }
        None if check.kind == Https => {
            let hint = "add `host = \"www.shop.test\"`, a name that every region's certificate carries".to_owned();
            faults.add_with(
                path.clone(),
                "an https check needs `host`: the name that the certificate must carry",
                hint,
            );
        }
        None => {}
    }
    if check.service.is_empty() {
        return;
    }
    let printable = check.service.bytes().all(|b| b.is_ascii_graphic());
    if check.kind != Grpc {
        says_nothing(path.key("service"), "a service", "\"grpc\"", faults);
    } else if !printable || !limits::SERVICE_CHARS.contains(&(check.service.len() as u64)) {
        let what = format!("`{}` is not a service's name: up to 256 printable characters", check.service);
        faults.add(path.key("service"), what);
    }
}

fn check_path(text: &str, path: &KeyPath, faults: &mut Faults) {
    let printable = text.bytes().all(|b| b.is_ascii_graphic());
    if !text.starts_with('/') || !printable || !limits::PATH_CHARS.contains(&(text.len() as u64)) {
        let hint = (!text.starts_with('/') && printable).then(|| format!("did you mean `/{text}`?"));
        let what = format!("`{text}` is not a path: it begins with `/`, without spaces, 512 characters at most");
        faults.add_with(path.clone(), what, hint);
    }
}

/// An exec check runs a file of the directory that the node keeps for checks, and no other: the World travels to every node, so
/// whoever may change it must not be able to name any program of theirs.
fn check_command(check: &Check, path: &KeyPath, faults: &mut Faults) {
    let path = path.key("command");
    let Some((program, arguments)) = check.command.split_first() else {
        if check.kind == CheckKind::Exec {
            let hint = "name a program of the node's directory of checks: command = [\"check-shop\"]".to_owned();
            faults.add_with(path, "an exec check needs `command`", hint);
        }
        return;
    };
    if check.kind != CheckKind::Exec {
        return says_nothing(path, "a command", "\"exec\"", faults);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if program.is_empty() || program.len() > 64 || !program.bytes().all(plain) || program.starts_with(['.', '-']) {
        let hint = "put the program, or a link to it, into the node's directory of checks".to_owned();
        let what = format!(
            "`{program}` is not a plain file name: 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`, without a path before it"
        );
        faults.add_with(path.at(0), what, hint);
    }
    let words = check.command.len() as u64;
    faults.range(path.clone(), "the number of a command's words", words, limits::COMMAND_WORDS);
    for (i, argument) in (1..).zip(arguments) {
        let long = !limits::COMMAND_BYTES.contains(&(argument.len() as u64));
        if long || argument.chars().any(char::is_control) {
            faults.add(path.at(i), "an argument has up to 256 bytes and no control characters");
        }
    }
}

/// From when on a check that passes is not good all the same.
fn check_what_is_heard(check: &Check, path: &KeyPath, faults: &mut Faults) {
    let days = path.key("certificate_days");
    faults.range(days.clone(), "days", check.certificate_days.into(), limits::CERTIFICATE_DAYS);
    if check.kind != CheckKind::Https && check.certificate_days != Check::default().certificate_days {
        says_nothing(days, "a certificate's life", "\"https\"", faults);
    }
    let percent = check.errors_percent.into();
    faults.range(path.key("errors_percent"), "a share (percent)", percent, limits::ERRORS_PERCENT);
}

fn says_nothing(path: KeyPath, what: &str, kinds: &str, faults: &mut Faults) {
    let hint = format!("only kind = {kinds} looks at it; drop it");
    faults.add_with(path, format!("{what} says nothing to this kind of check"), hint);
}

//! From a value as a file has it to a value of a key's kind. Pure.
//!
//! TOML and PM2's files meet here in one form, [`Raw`]: JSON's values, of which numbers may be anything.

use std::collections::BTreeMap;

use serde_json::Value as Raw;

use crate::{
    app::{Instances, Ready},
    cron::Cron,
    env_file,
    problem::did_you_mean,
    schema::{Kind, Value},
    units,
};

/// Why a value is not of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }
}

/// Reads a value as a kind.
pub(crate) fn read(kind: &Kind, raw: &Raw) -> Result<Value, Wrong> {
    let other = || Wrong::new(format!("{} is not {}", shown(raw), kind.wanted()));
    let limited = |fits: bool, value: Value| if fits { Ok(value) } else { Err(other()) };
    match (kind, raw) {
        (Kind::Text, Raw::String(text)) if !text.trim().is_empty() => Ok(Value::Text(text.clone())),
        (Kind::Name, Raw::String(text)) if text.is_empty() || is_name(text) => Ok(Value::Text(text.clone())),
        (Kind::Name, Raw::String(text)) => Err(Wrong::new(format!("`{text}` is not a name: {NAME_RULE}"))),
        (Kind::Region, Raw::String(text)) if is_name(text) => Ok(Value::Text(text.clone())),
        (Kind::Region, Raw::String(text)) => {
            Err(Wrong::new(format!("`{text}` is not the name of a region: {NAME_RULE}")))
        }
        (Kind::Texts { or_one: true }, Raw::String(text)) if !text.trim().is_empty() => {
            Ok(Value::Texts(vec![text.clone()]))
        }
        (Kind::Texts { or_one: false }, Raw::String(text))
            if !text.contains(['"', '\'', '$', '|', '&', ';', '<', '>']) =>
        {
            let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
            Err(Wrong { hint: Some(format!("write [{}]", words.join(", "))), ..other() })
        }
        (Kind::Texts { or_one: false }, Raw::String(text)) => {
            Err(Wrong { hint: Some(format!("what needs a shell is written [\"sh\", \"-c\", {text:?}]")), ..other() })
        }
        (Kind::Texts { .. }, Raw::Array(items)) => {
            let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            texts.filter(|texts| texts.iter().all(|text| !text.contains('\0'))).map(Value::Texts).ok_or_else(other)
        }
        (Kind::Whole(limits), Raw::Number(_)) => {
            let number = raw.as_u64().ok_or_else(other)?;
            limited(limits.contains(&number), Value::Whole(number))
        }
        (Kind::Time(limits), Raw::String(text)) => {
            let time = units::read_time(text).map_err(Wrong::new)?;
            let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            limited(limits.contains(&ms), Value::Time(time))
        }
        (Kind::Time(_), Raw::Number(number)) => {
            let hint = format!("say the unit: \"{number}s\", \"{number}ms\"");
            Err(Wrong { hint: Some(hint), ..other() })
        }
        (Kind::Size(limits), Raw::String(text)) => {
            let bytes = units::read_size(text).map_err(Wrong::new)?;
            limited(limits.contains(&bytes), Value::Size(bytes))
        }
        (Kind::Size(limits), Raw::Number(_)) => {
            let bytes = raw.as_u64().ok_or_else(other)?;
            limited(limits.contains(&bytes), Value::Size(bytes))
        }
        (Kind::Share(limits), Raw::String(text)) => {
            let permille = units::read_share(text).map_err(Wrong::new)?;
            limited(limits.contains(&permille), Value::Share(permille))
        }
        (Kind::Switch, Raw::Bool(on)) => Ok(Value::Switch(*on)),
        (Kind::Switch, Raw::String(word)) if word == "on" || word == "off" => Ok(Value::Switch(word == "on")),
        (Kind::Word(words), Raw::String(word)) if words.contains(&word.as_str()) => Ok(Value::Text(word.clone())),
        (Kind::Word(words), Raw::String(word)) => {
            Err(Wrong { hint: did_you_mean(word, words.iter().copied()), ..other() })
        }
        (Kind::Path, Raw::String(path)) if is_path(path) => Ok(Value::Text(path.clone())),
        (Kind::Path, Raw::String(path)) if is_path(&format!("/{path}")) => {
            Err(Wrong { hint: Some(format!("write \"/{path}\"")), ..other() })
        }
        (Kind::Instances, _) => instances(raw).map(Value::Instances).ok_or_else(other),
        (Kind::Ready, Raw::String(word)) => match read_ready(word) {
            Some(ready) => Ok(Value::Ready(ready)),
            None => Err(Wrong { hint: did_you_mean(word, READY.iter().copied()), ..other() }),
        },
        (Kind::Env, Raw::Object(variables)) => env(variables).map(Value::Env),
        (Kind::Codes, Raw::Array(items)) => {
            let codes = items.iter().map(|item| item.as_u64().and_then(|code| u8::try_from(code).ok()));
            codes.collect::<Option<Vec<u8>>>().map(Value::Codes).ok_or_else(other)
        }
        (Kind::Crons, Raw::String(text)) => Ok(Value::Crons(vec![cron(text)?])),
        (Kind::Crons, Raw::Array(items)) if (1..=CRONS_MOST).contains(&items.len()) => {
            let times = items.iter().map(|item| item.as_str().ok_or_else(other).and_then(cron));
            times.collect::<Result<_, _>>().map(Value::Crons)
        }
        (Kind::Crons, Raw::Array(items)) => {
            Err(Wrong::new(format!("there are {} times; write 1 to {CRONS_MOST}", items.len())))
        }
        (Kind::Hash, Raw::String(by)) => {
            let named = |prefix: &str| by.strip_prefix(prefix).is_some_and(is_token);
            let is_one = by == "ip" || by == "path" || named("header:") || named("cookie:");
            limited(is_one, Value::Text(by.clone()))
        }
        _ => Err(other()),
    }
}

/// Times of the clock that one key may have.
const CRONS_MOST: usize = 16;

fn cron(text: &str) -> Result<Cron, Wrong> {
    let hint = || Some("\"0 3 * * *\" is 3 o'clock each day".to_owned());
    text.parse().map_err(|why| Wrong { what: format!("`{text}` {why}"), hint: hint() })
}

/// What names of apps and of regions are made of.
pub(crate) const NAME_RULE: &str = "1 to 32 lower case letters, digits and `-`, a letter first and no `-` last";

/// Whether an app can have this name: it becomes a part of host names, metrics and files.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len())
        && name.bytes().all(fits)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
}

/// Whether it is the path of a URL, without query.
pub(crate) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'\\'))
}

/// Whether it can be the name of a header or a cookie.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `3`, `"max"`, `-1`.
pub(crate) fn instances(raw: &Raw) -> Option<Instances> {
    match raw {
        Raw::String(word) if word == "max" => Some(Instances::MAX),
        Raw::Number(_) => match raw.as_i64()? {
            count @ 1..=65_535 => u16::try_from(count).ok().map(Instances::Count),
            spare @ -65_535..=-1 => u16::try_from(-spare).ok().map(Instances::CoresBut),
            _ => None,
        },
        _ => None,
    }
}

const READY: [&str; 6] = ["http", "tcp", "ipc", "sd_notify", "started", "log:"];

/// A kind of readiness as written.
fn read_ready(word: &str) -> Option<Ready> {
    Some(match word {
        "http" => Ready::Http,
        "tcp" => Ready::Tcp,
        "ipc" => Ready::Ipc,
        "sd_notify" => Ready::SdNotify,
        "started" => Ready::Started,
        _ => {
            let text = word.strip_prefix("log:").map(str::trim)?;
            // `*` stands for any text: what any line would match tells nothing.
            text.chars().any(|c| c != '*' && !c.is_whitespace()).then(|| Ready::Log(text.to_owned()))?
        }
    })
}

/// A kind of readiness as it is written.
pub(crate) fn show_ready(ready: &Ready) -> String {
    match ready {
        Ready::Http => "http".into(),
        Ready::Tcp => "tcp".into(),
        Ready::Ipc => "ipc".into(),
        Ready::SdNotify => "sd_notify".into(),
        Ready::Started => "started".into(),
        Ready::Log(text) => format!("log:{text}"),
    }
}

fn env(variables: &serde_json::Map<String, Raw>) -> Result<BTreeMap<String, String>, Wrong> {
    let read = |(name, raw): (&String, &Raw)| {
        if !env_file::is_name(name) {
            return Err(Wrong::new(format!("`{name}` is not the name of a variable")));
        }
        let value = variable(raw).filter(|value| !value.contains('\0'));
        value.map(|value| (name.clone(), value)).ok_or_else(|| {
            Wrong::new(format!("the variable `{name}` is {}; it must be a text, a number, true or false", shown(raw)))
        })
    };
    variables.iter().map(read).collect()
}

/// A variable's value as a program sees it.
pub(crate) fn variable(raw: &Raw) -> Option<String> {
    match raw {
        Raw::String(text) => Some(text.clone()),
        Raw::Number(number) => Some(number.to_string()),
        Raw::Bool(on) => Some(on.to_string()),
        Raw::Null | Raw::Array(_) | Raw::Object(_) => None,
    }
}

/// A value in an error: short, and never more of it than helps.
pub(crate) fn shown(raw: &Raw) -> String {
    match raw {
        Raw::String(text) if text.chars().count() <= 40 => format!("{text:?}"),
        Raw::String(text) => format!("{:?} and so on", text.chars().take(40).collect::<String>()),
        Raw::Array(_) => "a list".into(),
        Raw::Object(_) => "a table".into(),
        Raw::Null => "nothing".into(),
        plain => plain.to_string(),
    }
}

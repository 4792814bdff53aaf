//! `atoll state`: a region's state on disk, without a running region.
//!
//! `verify` reads everything that a start would read and changes nothing. Exit code 0: whole. 3: whole, but for an end that the
//! next start cuts off and gets back from the other regions. 1: damaged or incomplete, so that a start refuses it. 2: there is no
//! state there, or it cannot be read.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use replication_storage::{OpenError, RealFiles, Verified, verify};
use serde_json::{Value, json};

use crate::{
    cli::{StateArgs, StateWhat, WorldArgs},
    exit::{Exit, Misuse},
    output::{self, Paint},
};

pub(crate) fn run(args: &StateArgs, world: &WorldArgs) -> anyhow::Result<Exit> {
    let StateWhat::Verify { dir } = &args.what;
    let dir = state_dir(dir)?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let result = verify(&RealFiles, &dir, now_ms);
    if world.json {
        output::say_json(&as_json(&dir, &result))?;
    } else {
        match &result {
            Ok(verified) => as_text(&dir, verified).iter().for_each(output::say),
            Err(error) => output::say(format!("{} {error}", Paint::for_stdout().bad("DAMAGED"))),
        }
    }
    match result {
        Ok(verified) if verified.torn_tail.is_some() => Ok(Exit::Torn),
        Ok(_) => Ok(Exit::Done),
        Err(error) if error.is_damage() => Ok(Exit::Failed),
        Err(error) => Err(Misuse(error.to_string()).into()),
    }
}

/// The state directory: `dir` itself, or `dir/state` if `dir` is the data directory of a region.
fn state_dir(dir: &Path) -> anyhow::Result<PathBuf> {
    if !dir.is_dir() {
        return Err(Misuse(format!("{}: there is no such directory", dir.display())).into());
    }
    let inside = dir.join("state");
    Ok(if inside.is_dir() && !dir.join("identity").exists() { inside } else { dir.into() })
}

fn as_text(dir: &Path, verified: &Verified) -> Vec<String> {
    let paint = Paint::for_stdout();
    let (mut lines, mut keys) = (Vec::new(), 0);
    for (name, count) in &verified.types {
        keys += count.keys;
        lines.push(format!("  {name:<8} {:>12} keys {:>14} bytes", count.keys, count.bytes));
    }
    let verdict = match &verified.torn_tail {
        None => paint.good("WHOLE"),
        Some(_) => paint.warn("TORN"),
    };
    lines.insert(0, format!("{verdict} {}: {keys} keys, digest {:016x}", dir.display(), verified.digest.combined()));
    lines.push(match verified.checkpoint {
        Some((position, bytes)) => format!("  checkpoint at position {position}, {bytes} bytes"),
        None => "  no checkpoint".into(),
    });
    let (records, bytes, end) = (verified.records, verified.journal_bytes, verified.end);
    lines.push(format!("  journal: {records} records behind it, {bytes} bytes, up to position {end}"));
    match verified.replica {
        Some(replica) => lines.push(format!("  written by replica {replica}")),
        None => lines.push("  the file `identity` cannot be read".into()),
    }
    if let Some(torn) = &verified.torn_tail {
        let (file, offset, cut, what) = (torn.file.display(), torn.offset, torn.cut, torn.what);
        lines.push(format!("  {file}: {cut} bytes from byte {offset} on are a torn tail: {what}"));
    }
    if let Some(doubt) = &verified.in_doubt {
        lines.push(format!("  the next start takes a new replica name, since {doubt}"));
    }
    lines.push(paint.dim(&format!("  read in {:?}", verified.took)));
    lines
}

fn as_json(dir: &Path, result: &Result<Verified, OpenError>) -> Value {
    let verified = match result {
        Ok(verified) => verified,
        Err(error) => return json!({ "dir": dir, "verdict": "damaged", "error": error.to_string() }),
    };
    let types = verified.types.iter().map(|(name, count)| {
        let count = json!({ "keys": count.keys, "bytes": count.bytes });
        ((*name).to_owned(), count)
    });
    let torn = verified
        .torn_tail
        .as_ref()
        .map(|torn| json!({ "file": torn.file, "offset": torn.offset, "bytes": torn.cut, "what": torn.what }));
    json!({
        "dir": dir,
        "verdict": if torn.is_some() { "torn" } else { "whole" },
        "replica": verified.replica.map(|replica| replica.to_string()),
        "in_doubt": verified.in_doubt,
        "torn_tail": torn,
        "checkpoint": verified.checkpoint.map(|(position, bytes)| json!({ "position": position, "bytes": bytes })),
        "journal": { "records": verified.records, "bytes": verified.journal_bytes, "end": verified.end },
        "types": types.collect::<serde_json::Map<_, _>>(),
        "digest": format!("{:016x}", verified.digest.combined()),
        "took_ms": verified.took.as_millis() as u64,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use replication_core::{SetExpiry, SetIf, TextOp};
    use replication_storage::{StateStore, StoreConfig, Threads};

    use super::*;

    fn verdict(dir: &Path) -> (Option<Exit>, String) {
        let result = state_dir(dir).map(|dir| as_json(&dir, &verify(&RealFiles, &dir, 0)));
        let json = result.map_or(String::new(), |json| json["verdict"].as_str().unwrap_or_default().to_owned());
        let args = StateArgs { what: StateWhat::Verify { dir: dir.into() } };
        let world = WorldArgs { data: PathBuf::new(), endpoint: Vec::new(), ca: None, token_file: None, json: true };
        (run(&args, &world).ok(), json)
    }

    #[test]
    fn a_directory_is_whole_torn_damaged_or_none() {
        let root = std::env::temp_dir().join(format!("atoll-state-verify-{}", std::process::id()));
        let dir = root.join("state");
        let config = StoreConfig { threads: Threads::None, ..StoreConfig::new(&dir, "shop", 1) };
        let (store, _) = StateStore::open(config).unwrap();
        for n in 0..3 {
            let (expiry, condition) = (SetExpiry::Clear, SetIf::Always);
            let op = TextOp::Set { value: "v".into(), expiry, condition, get: false }.on(format!("k{n}"));
            store.persist_now(store.execute(&op).mark.unwrap()).unwrap();
        }
        drop(store);
        assert_eq!(verdict(&root), (Some(Exit::Done), "whole".into()), "the region's data directory will do");
        let lines = as_text(&dir, &verify(&RealFiles, &dir, 0).unwrap());
        assert!(lines[0].contains("3 keys") && lines[1].contains("string"), "{lines:?}");

        let journal = dir.join(format!("{:020}.journal", 0));
        let whole = fs::read(&journal).unwrap();
        fs::write(&journal, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(verdict(&dir), (Some(Exit::Torn), "torn".into()));
        assert_eq!(fs::read(&journal).unwrap().len(), whole.len() - 1, "nothing was changed");
        let mut flipped = whole.clone();
        flipped[80] ^= 1;
        fs::write(&journal, flipped).unwrap();
        assert_eq!(verdict(&dir), (Some(Exit::Failed), "damaged".into()));
        assert_eq!(verdict(&root.join("nothing")).0, None);
        fs::remove_dir_all(root).unwrap();
    }
}

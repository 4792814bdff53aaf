//! The World of a running world is changed, looked at and taken back, over a restart of every process.

use std::{fmt::Write, fs};

use crate::{
    clients::dig,
    world::{SOON, Scratch, Up, free_net, text, until},
};

#[test]
fn a_world_is_changed_from_a_directory_and_rolled_back_after_a_restart() {
    let scratch = Scratch::new("apply");
    let data = scratch.0.join("w");
    let up = Up::start(&data, &["--net", &free_net().to_string()]);
    let founded = up.json(&["plan", "show"])["id"]["version"].as_u64().unwrap();

    // The world file in two parts, with another TTL.
    let whole = fs::read_to_string(data.join("world.toml")).unwrap();
    let wanted = whole.replacen("max = 30", "max = 60", 1);
    let (first, second) = wanted.split_at(wanted.find("[[zone]]").unwrap());
    let parts = scratch.0.join("parts");
    fs::create_dir_all(&parts).unwrap();
    fs::write(parts.join("regions.toml"), first).unwrap();
    fs::write(parts.join("zones.toml"), second).unwrap();
    let (parts, old) = (parts.to_str().unwrap(), data.join("world.toml"));

    let same = up.atoll(&["apply", old.to_str().unwrap()]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));
    assert!(text(&same.stdout).contains("nothing to change"));
    let look = up.atoll(&["apply", parts, "--dry-run"]);
    assert_eq!(look.status.code(), Some(3), "{}", text(&look.stderr));
    assert!(text(&look.stdout).contains("www.shop.test: TTL 30 → 60"), "{}", text(&look.stdout));
    let nobody = up.atoll(&["apply", parts]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(text(&nobody.stderr).contains("--yes"), "{}", text(&nobody.stderr));
    assert_eq!(up.json(&["plan", "show"])["id"]["version"], founded, "nothing was changed yet");

    let applied = up.json(&["apply", parts, "--yes", "--reason", "quieter resolvers", "--who", "ana"]);
    let changed = applied["ending"]["applied"]["plan"]["version"].as_u64().unwrap_or_else(|| panic!("{applied}"));
    assert_eq!(
        (applied["diff"]["names"]["change"].as_u64(), applied["diff"]["names"]["empty"].as_u64()),
        (Some(1), Some(0))
    );
    fs::write(scratch.0.join("parts/zones.toml"), second.replacen("pool = \"web\"", "pool = \"wbe\"", 1)).unwrap();
    let wrong = up.atoll(&["apply", parts, "--yes"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("did you mean `web`?"), "{}", text(&wrong.stderr));

    // Every process is new; who changed what is still known, and the way back is open.
    assert_eq!(up.stop(), 0);
    let up = Up::start(&data, &[]);
    let told = up.ok(&["plan", "history"]);
    assert!(told.contains("world changed by ana: quieter resolvers") && told.contains("founded"), "{told}");
    let (from, to) = (changed.to_string(), (changed - 1).to_string());
    assert!(up.ok(&["plan", "diff", &to, &from]).contains("TTL 30 → 60"));
    assert!(up.ok(&["plan", "show", &to]).contains("max = 30"));
    let missing = up.atoll(&["plan", "rollback", "100000000", "--yes"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("plan history"), "{}", text(&missing.stderr));
    let back = up.json(&["plan", "rollback", &to, "--yes"]);
    assert!(back["ending"]["applied"]["plan"]["version"].as_u64() > Some(changed), "{back}");
    until("the old world is in force again", SOON, || {
        up.json(&["plan", "show"])["world"]["zone"][0]["steered"][0]["ttl"]["max"] == 30
    });
    assert_eq!(up.atoll(&["apply", old.to_str().unwrap()]).status.code(), Some(0), "it is as the file says");

    // A zone more, from a master file that lies beside the world file.
    let zone = "\n[[zone]]\norigin = \"files.test\"\nfile = \"files.zone\"\n";
    fs::write(scratch.0.join("with-zone.toml"), whole + zone).unwrap();
    let head = "$TTL 60\n@ SOA ns.elsewhere.test. mail 1 3600 600 86400 30\n@ NS ns.elsewhere.test.\n";
    fs::write(scratch.0.join("files.zone"), format!("{head}www A 192.0.2.300\n")).unwrap();
    let with_zone = scratch.0.join("with-zone.toml");
    let wrong = up.atoll(&["apply", with_zone.to_str().unwrap(), "--yes"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("files.zone:4:7: "), "{}", text(&wrong.stderr));
    fs::write(scratch.0.join("files.zone"), format!("{head}www A 192.0.2.30\n")).unwrap();
    up.ok(&["apply", with_zone.to_str().unwrap(), "--yes"]);
    until("the zone's names are answered", SOON, || dig(up.regions[0].dns, &["www.files.test"]) == ["192.0.2.30"]);
}

/// 3.6 of the 4 MiB that a World may have: while members read it, try it and pass it on, they go on hearing each other.
#[test]
fn a_world_near_the_largest_is_taken_without_an_election_and_fails_over_like_any_other() {
    let scratch = Scratch::new("large");
    let data = scratch.0.join("w");
    let up = Up::start(&data, &["--net", &free_net().to_string()]);
    let mut large = fs::read_to_string(data.join("world.toml")).unwrap();
    for zone in 0..6 {
        write!(large, "\n[[zone]]\norigin = \"z{zone}.test\"\nns = [\"ns.else.test\"]\n").unwrap();
        for host in 0..9900 {
            let address = format!("192.0.{}.{}", host / 250, host % 250);
            write!(large, "[[zone.record]]\nname = \"h{host}\"\ntype = \"A\"\nvalue = \"{address}\"\n").unwrap();
        }
    }
    assert!((3_500_000..4 << 20).contains(&large.len()), "{} bytes", large.len());
    let file = scratch.0.join("large.toml");
    let (file, leader) = (file.to_str().unwrap(), up.status()["leader"].clone());
    for ttl in [31, 32, 33] {
        fs::write(file, large.replacen("max = 30", &format!("max = {ttl}"), 1)).unwrap();
        let applied = up.json(&["apply", file, "--yes"]);
        let made = applied["ending"]["applied"]["plan"]["version"].as_u64().unwrap_or_else(|| panic!("{applied}"));
        until("it is in force everywhere", SOON, || {
            let status = up.status();
            let regions = status["regions"].as_array().unwrap();
            regions.iter().all(|region| region["plan"]["version"].as_u64() >= Some(made))
        });
    }
    for region in &up.regions {
        assert_eq!(dig(region.dns, &["h9899.z5.test"]), ["192.0.39.149"], "{}", region.name);
    }
    assert_eq!(up.status()["leader"], leader, "nobody missed it");
    let dead = leader.as_str().unwrap();
    let report = up.json(&["drill", "run", "lose-region", "--region", dead]);
    assert_eq!(report["outcome"], "PASS", "{report:#}");
}

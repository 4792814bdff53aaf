//! Location files of a world of processes: who they move, and what is told when one is spoilt.

use std::fs;

use crate::{
    clients::dig,
    world::{SOON, Scratch, Up, free_net, until},
};

#[test]
fn a_prefix_file_moves_clients_and_a_spoilt_one_is_named_and_changes_nothing() {
    let scratch = Scratch::new("locations");
    let nets = scratch.0.join("nets.txt");
    fs::write(&nets, "# nobody is moved yet\n").unwrap();
    let missing = scratch.0.join("missing.mmdb").display().to_string();
    let refused = Up::try_start(&scratch.0.join("x"), &["--locations", &missing]).err().unwrap_or_default();
    assert!(refused.contains("missing.mmdb: cannot be read"), "{refused}");

    let net = free_net().to_string();
    let up = Up::start(&scratch.0.join("w"), &["--net", &net, "--locations", &nets.display().to_string()]);
    let (us, eu) = (up.region("us-east").clone(), up.region("eu-west").clone());
    let named = |subnet: &str| dig(eu.dns, &[&format!("+subnet={subnet}"), "www.shop.test"]);
    assert_eq!(named("87.32.10.0/24"), [eu.gateway.ip().to_string()], "Ireland is nearest to Dublin");
    let replace = |text: &str| {
        let new = scratch.0.join("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &nets).unwrap();
    };
    replace("87.32.10.0/24 location=39.0,-77.5 office\n");
    until("the office is in Virginia", SOON, || named("87.32.10.0/24") == [us.gateway.ip().to_string()]);
    assert_eq!(named("87.32.11.0/24"), [eu.gateway.ip().to_string()], "its neighbours are in Ireland");
    let explain = || up.ok(&["explain", "dns", "www.shop.test", "--from", "87.32.10.1"]);
    let by = format!("client 87.32.10.1: list office, by file {}", nets.canonicalize().unwrap().display());
    // Each region looks at the file by itself, and another one may explain.
    until("the file is named as the source", SOON, || explain().contains(&by));

    replace("87.32.10.0/24 nowhere=else\n");
    until("the spoilt file is named", SOON, || explain().contains("line 1: `nowhere` is not known"));
    assert_eq!(named("87.32.10.0/24"), [us.gateway.ip().to_string()], "what was read before counts");
    replace("87.32.10.0/24 office\n");
    until("the office is in Ireland", SOON, || named("87.32.10.0/24") == [eu.gateway.ip().to_string()]);
    until("the file is not named any more", SOON, || !explain().contains("is not known"));
    assert_eq!(up.stop(), 0);
}

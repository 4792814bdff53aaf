//! Apps as their developers meet them: an ecosystem file as it is, a reload under load, a release that is broken, names of one app
//! for another.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::Value;

use crate::world::{SOON, Scratch, Up, free_net, text, until};

/// Listens where it always has: the preload gives each worker its own port.
const WEB: &str = "require('http').createServer((q, r) => r.end('web VERSION of ' + process.env.REGION)).listen(3000);";
const ORDERS: &str = "require('http').createServer((q, r) => r.end('orders for ' + q.url)).listen(process.env.PORT);";
const ECOSYSTEM: &str = "module.exports = { apps: [
  { name: 'web', script: './web.js', instances: 2, exec_mode: 'cluster' },
  { name: 'orders', script: './orders.js' } ] };";

/// What `curl` got with these arguments: the body, or the status where it was no success.
fn curl(args: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--fail", "--max-time", "10", "--write-out", "%{stderr}%{http_code}"])
        .args(args)
        .output()
        .expect("curl is installed");
    if output.status.success() { text(&output.stdout) } else { text(&output.stderr) }
}

fn url(at: SocketAddr) -> String {
    format!("http://{at}/")
}

#[test]
fn an_ecosystem_file_runs_is_reloaded_under_load_and_a_broken_release_changes_nothing() {
    let scratch = Scratch::new("apps");
    let folder = &scratch.0;
    let web = |version: &str| fs::write(folder.join("web.js"), WEB.replace("VERSION", version)).unwrap();
    web("one");
    fs::write(folder.join("orders.js"), ORDERS).unwrap();
    let file = folder.join("ecosystem.config.js");
    fs::write(&file, ECOSYSTEM).unwrap();
    let up = Up::start(&folder.join("w"), &["--net", &free_net().to_string(), "--app", file.to_str().unwrap()]);
    let us = up.region("us-east").clone();
    let serves = |version: &str| curl(&[&url(us.gateway)]) == format!("web {version} of us-east");
    until("the app serves", SOON, || serves("one"));

    // Names of one app for another: through the node, as a host and as a proxy; users do not reach them.
    let internal = url(SocketAddr::new(us.gateway.ip(), 8081));
    until("orders serve", SOON, || curl(&["-H", "Host: orders.internal", &internal]) == "orders for /");
    assert_eq!(curl(&["--proxy", &internal, "http://orders.internal/7"]), "orders for /7");
    assert_eq!(
        curl(&["-H", "Host: orders.internal", &url(us.gateway)]),
        "web one of us-east",
        "from outside it is any host"
    );

    // A reload under load: every answer is one of either release.
    web("two");
    let done = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut answers = Vec::new();
            while !done.load(Ordering::Relaxed) {
                answers.push(curl(&[&url(us.gateway)]));
            }
            answers
        });
        let said = up.ok(&["app", "reload", "web", "--region", "us-east"]);
        done.store(true, Ordering::Relaxed);
        assert!(said.contains("done web runs release 2 with 2 workers"), "{said}");
        load.join().expect("the load ends")
    });
    let strange: Vec<&String> =
        answers.iter().filter(|got| !["web one of us-east", "web two of us-east"].contains(&got.as_str())).collect();
    assert!(strange.is_empty() && answers.len() > 5, "{strange:?} among {}", answers.len());
    assert!(serves("two"));

    // A release that throws: its words, another exit code, and nothing else.
    fs::write(folder.join("web.js"), "throw new Error('no such luck')").unwrap();
    let output = up.atoll(&["app", "reload", "web", "--region", "us-east"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("release 2 stays in service") && said.contains("Error: no such luck"), "{said}");
    assert!(serves("two"));

    // A file with an error in it: file and line, and nothing else.
    fs::write(&file, "module.exports = {\n  apps: [\n").unwrap();
    let output = up.atoll(&["app", "reload", "--region", "us-east"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!output.status.success() && said.contains("ecosystem.config.js:3"), "{said}");
    assert!(serves("two"));

    up.ok(&["app", "scale", "orders", "3", "--region", "us-east"]);
    let apps = up.ok(&["app", "ls", "--region", "us-east"]);
    let row = |name: &str| apps.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(row("orders").contains("3/3") && row("web").contains("2/2"), "{apps}");

    every_described_route_is_served(&up);
}

/// A region serves whatever its `/openapi.json` describes, its own routes beside the plane's.
fn every_described_route_is_served(up: &Up) {
    let token = fs::read_to_string(up.data.join("admin.token")).unwrap();
    let ca = up.data.join("pki/ca.pem");
    let admin = format!("https://{}:9700", up.region("us-east").gateway.ip());
    let ask = |method: &str, path: &str| {
        let bearer = format!("Authorization: Bearer {}", token.trim());
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "10", "--cacert", ca.to_str().unwrap(), "--header", &bearer])
            .args(["--request", method, &format!("{admin}{path}")])
            .output();
        text(&output.expect("curl is installed").stdout)
    };
    let document: Value = serde_json::from_str(&ask("GET", "/openapi.json")).expect("the document is JSON");
    let endless = ["/v1/follow", "/v1/events"];
    let mut of_apps = 0;
    for (path, operations) in
        document["paths"].as_object().unwrap().iter().filter(|(p, _)| !endless.contains(&p.as_str()))
    {
        for method in operations.as_object().unwrap().keys() {
            // `{name}` becomes `name`, which is nobody's.
            let said = ask(&method.to_uppercase(), &path.replace(['{', '}'], ""));
            let unknown = said.contains("path in this API") || said.contains("does not take this method");
            assert!(!said.is_empty() && !unknown, "{method} {path}: {said}");
            of_apps += u32::from(path.starts_with("/v1/apps"));
        }
    }
    assert_eq!(of_apps, 10, "the routes of apps are among them");
}

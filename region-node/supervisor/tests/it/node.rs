//! Node.js workers, with the preload and without. Skipped, with a word, where Node.js is not installed.

use std::{fs, path::Path, time::Duration};

use supervisor::{AppSpec, Ready, StopSignal, WorkerState};

use crate::support::{Scratch, app, get, nobody, pid, problem, ready, start, until};

/// Whether there is a Node.js to test with.
fn node() -> bool {
    let there =
        std::process::Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: node is not installed");
    }
    there
}

/// An app of one script in a directory of its own.
fn script(scratch: &Scratch, name: &str, text: &str) -> AppSpec {
    fs::write(scratch.path().join(name), text).unwrap();
    AppSpec { cwd: Some(scratch.path().to_owned()), health_path: Some("/".to_owned()), ..app(&["node", name]) }
}

const HELLO: &str = "require('http').createServer((q, s) => s.end('hello')).listen(3999);";

#[tokio::test]
async fn a_fixed_port_is_redirected_however_it_is_given() {
    if !node() {
        return;
    }
    let server = "const http = require('http'), net = require('net'); let more = '';
        const s = http.createServer((q, r) => r.end(`keep-alive ${s.keepAliveTimeout}${more}`));
        // A port that is free, for a server that is not the app's own.
        const other = (use) => { const f = net.createServer().listen(0, () => { const { port } = f.address(); f.close(() => use(port)); }); };
        const metrics = (port, up) => http.createServer((q, r) => r.end('metrics')).listen(port, up);";
    let cases = [
        ("number.js", "s.listen(3999)"),
        ("host.js", "s.listen('3999', '0.0.0.0', 100, () => console.log('up'))"),
        ("options.js", "s.listen({ port: 3999, host: '::' }, () => console.log('up'))"),
        ("own.js", "s.listen(process.env.PORT, process.env.HOST)"),
        ("second.js", "net.createServer().listen(0, () => s.listen(3999, () => net.createServer().listen(0)))"),
        ("at-once.js", "s.listen(3999); if (s.address().port !== +process.env.PORT || !s.listening) throw 1"),
        // An app that asks for PORT by name gets it, also if it opens another port before: that one goes back.
        (
            "metrics-first.js",
            "let up = 0; other((port) => { const m = metrics(port, () => up++);
             s.listen(process.env.PORT, () => setTimeout(() => { more = ` ${m.address().port === port} ${up}`; }, 50)); })",
        ),
        (
            "metrics-before.js",
            "let up = 0; other((port) => { const m = metrics(port, () => { up++; setTimeout(() => s.listen(process.env.PORT, () =>
             setTimeout(() => { more = ` ${m.address().port === port} ${up}`; }, 50)), 50); }); })",
        ),
        ("module.mjs", "s.listen(3999)"),
    ];
    let scratch = Scratch::new("redirect");
    for (name, text) in cases {
        let text = format!("{server} {text}");
        let import = "import http from 'node:http'; import net from 'node:net';";
        let text = if name == "module.mjs" {
            text.replace("const http = require('http'), net = require('net');", import)
        } else {
            text
        };
        let app = start(script(&scratch, name, &text));
        ready(&app, 1).await;
        let expected = if name.starts_with("metrics") { "keep-alive 65000 true 1" } else { "keep-alive 65000" };
        let address = app.workers().borrow()[0].address;
        until(name, || get(address).contains(expected)).await;
        assert_eq!(app.status().workers[0].restarts, 0, "{name}");
        app.shutdown().await;
    }
}

#[tokio::test]
async fn without_the_preload_nothing_is_changed_and_the_wrong_port_is_told() {
    if !node() {
        return;
    }
    let scratch = Scratch::new("opt-out");
    let text =
        "console.log(process.env.NODE_OPTIONS, process.env.ATOLL_PRELOAD); require('http').createServer().listen(0)";
    let mut spec = AppSpec { preload: false, ..script(&scratch, "server.js", text) };
    spec.timing.ready_timeout = Duration::from_secs(2);
    let app = start(spec);
    problem(&app, &["it listens on ", "saying: undefined undefined"]).await;
    app.shutdown().await;
}

#[tokio::test]
async fn the_apps_own_options_and_later_ports_are_its_own() {
    if !node() {
        return;
    }
    let scratch = Scratch::new("options");
    fs::write(scratch.path().join("own.cjs"), "globalThis.own = 'loaded'").unwrap();
    // The second server and the child keep the port that they ask for; an error of listen() reaches the app.
    let text = "const http = require('http'), cp = require('child_process'), net = require('net');
        const main = http.createServer((q, s) => s.end(globalThis.own + ' ' + state.join(' '))); const state = [];
        const free = net.createServer().listen(0, '127.0.0.1', () => { const port = free.address().port; free.close(() => main.listen(3999, () => {
          const second = http.createServer().listen(port, '127.0.0.1', () => {
            state.push('second-' + (second.address().port === port));
            const third = http.createServer().on('error', (e) => state.push(e.code)).listen(port, '127.0.0.1');
            const child = `const s = require('http').createServer().listen(0, () => { const p = s.address().port; s.close(() => s.listen(p, () => { console.log(s.address().port === p); process.exit() })) })`;
            cp.execFile(process.execPath, ['-e', child], (e, out) => state.push('child-' + out.trim(), 'done'));
          }) })) });";
    let mut spec = script(&scratch, "server.js", text);
    spec.env.insert("NODE_OPTIONS".to_owned(), format!("--require {}", scratch.path().join("own.cjs").display()));
    let app = start(spec);
    ready(&app, 1).await;
    let address = app.workers().borrow()[0].address;
    let mut last = String::new();
    until("it has tried everything", || {
        last = get(address);
        last.contains("done")
    })
    .await;
    assert!(
        last.contains("loaded")
            && last.contains("second-true")
            && last.contains("child-true")
            && last.contains("EADDRINUSE"),
        "{last}"
    );
    app.shutdown().await;
}

#[tokio::test]
async fn figures_of_the_event_loop_arrive() {
    if !node() {
        return;
    }
    let scratch = Scratch::new("figures");
    let app = start(script(
        &scratch,
        "server.js",
        &format!("{HELLO} setInterval(() => {{ const end = Date.now() + 60; while (Date.now() < end); }}, 100)"),
    ));
    ready(&app, 1).await;
    until("it reports that it is busy", || {
        app.workers().borrow().iter().any(|w| w.busy_permille.is_some_and(|busy| busy > 300))
    })
    .await;
    let loop_ = app.status().workers[0].event_loop.unwrap();
    assert!(
        loop_.delay_max_ms > 20.0 && loop_.heap_used_bytes > 1 << 20 && loop_.heap_total_bytes >= loop_.heap_used_bytes,
        "{loop_:?}"
    );
    assert!(loop_.delay_p50_ms <= loop_.delay_p99_ms && loop_.delay_p99_ms <= loop_.delay_max_ms, "{loop_:?}");
    assert!(loop_.active_handles > 0, "{loop_:?}");
    app.shutdown().await;
}

#[tokio::test]
async fn a_blocked_event_loop_is_found_out_and_a_lagging_one_is_replaced() {
    if !node() {
        return;
    }
    let scratch = Scratch::new("blocked");
    let blocked = "const http = require('http'); http.createServer((q, s) => { s.end('x'); if (q.url === '/block') for (;;); }).listen(3999)";
    // Another thread than the event loop answers health checks here: none does.
    let mut spec = AppSpec { ready: Ready::Tcp, health_path: None, ..script(&scratch, "blocked.js", blocked) };
    spec.limits.heartbeat_timeout = Some(Duration::from_secs(3));
    let app = start(spec);
    ready(&app, 1).await;
    until("it reports", || app.status().workers[0].event_loop.is_some()).await;
    let address = app.workers().borrow()[0].address;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /block HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    problem(&app, &["did not turn its event loop for 3s"]).await;
    ready(&app, 1).await;
    app.shutdown().await;

    let lagging = "const http = require('http'), fs = require('fs'); http.createServer((q, s) => s.end('x')).listen(3999);
        if (!fs.existsSync('once')) { fs.writeFileSync('once', ''); setInterval(() => { const end = Date.now() + 300; while (Date.now() < end); }, 350); }";
    let mut spec = script(&scratch, "lagging.js", lagging);
    spec.limits.event_loop_lag = Some(Duration::from_millis(100));
    let app = start(spec);
    ready(&app, 1).await;
    let life = app.workers().borrow()[0].life;
    until("another one serves", || app.workers().borrow().iter().all(|worker| worker.life != life)).await;
    ready(&app, 1).await;
    assert_eq!(app.status().workers[0].restarts, 0);
    app.shutdown().await;
}

#[tokio::test]
async fn ipc_messages_go_both_ways_without_node_on_this_side() {
    if !node() {
        return;
    }
    let scratch = Scratch::new("ipc");
    let text = "process.on('message', (m) => { require('fs').writeFileSync('message', JSON.stringify(m)); process.exit(0); });
        process.on('SIGTERM', () => require('fs').writeFileSync('signal', ''));
        require('http').createServer((q, s) => s.end('x')).listen(3999, () => { process.send({ big: 'x'.repeat(200000) });
          require('fs').writeFileSync('listening', ''); const wait = setInterval(() => { if (require('fs').existsSync('go')) { clearInterval(wait); process.send('ready'); } }, 20); });
        const child = require('child_process').spawnSync('sh', ['-c', 'echo $NODE_CHANNEL_FD']); require('fs').writeFileSync('child', child.stdout);";
    for preload in [true, false] {
        let at = |name: &str| scratch.path().join(name);
        for name in ["go", "message", "listening"] {
            let _ = fs::remove_file(at(name));
        }
        let mut spec = AppSpec { ready: Ready::Ipc, health_path: None, preload, ..script(&scratch, "server.js", text) };
        spec.stop.with_message = true;
        let app = start(spec);
        until("it listens", || at("listening").exists()).await;
        assert_eq!(app.status().workers[0].state, WorkerState::Starting);
        fs::write(at("go"), "").unwrap();
        ready(&app, 1).await;
        app.shutdown().await;
        assert_eq!(fs::read_to_string(at("message")).unwrap(), "\"shutdown\"");
        assert!(!at("signal").exists());
        assert_eq!(fs::read_to_string(at("child")).unwrap(), "\n");
    }
}

#[tokio::test]
async fn metrics_of_all_workers_come_in_one_text() {
    if !node() {
        return;
    }
    let scratch = Scratch::new("metrics");
    let module = scratch.path().join("node_modules/prom-client");
    fs::create_dir_all(&module).unwrap();
    fs::write(module.join("index.js"), "exports.register = { metrics: async () => `# HELP orders Orders.\\n# TYPE orders counter\\norders{kind=\"a\"} ${process.env.NODE_APP_INSTANCE}0\\n` };").unwrap();
    let app =
        start(AppSpec { instances: 2, ..script(&scratch, "server.js", &format!("require('prom-client'); {HELLO}")) });
    ready(&app, 2).await;
    let expected = "# HELP orders Orders.\n# TYPE orders counter\norders{worker=\"0\",kind=\"a\"} 00\norders{worker=\"1\",kind=\"a\"} 10\n";
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let text = app.metrics().await;
        if text == expected {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.shutdown().await;

    // Without the module there is nothing, and no waiting for it.
    let app = start(script(&scratch, "plain.js", HELLO));
    ready(&app, 1).await;
    assert_eq!(app.metrics().await, "");
    app.shutdown().await;
}

#[tokio::test]
async fn a_drained_worker_closes_idle_connections() {
    if !node() {
        return;
    }
    let scratch = Scratch::new("drain");
    let spec = script(&scratch, "server.js", HELLO);
    let held = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(1));
    let count = std::sync::Arc::clone(&held);
    let in_flight: supervisor::InFlight = std::sync::Arc::new(move |_| count.load(std::sync::atomic::Ordering::SeqCst));
    let app = std::sync::Arc::new(supervisor::start(spec.clone(), supervisor::Wiring { in_flight }).unwrap());
    ready(&app, 1).await;
    until("the preload is heard", || app.status().workers[0].event_loop.is_some()).await;
    let address = app.workers().borrow()[0].address;
    let mut idle = std::net::TcpStream::connect(address).unwrap();
    idle.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let ask = |stream: &mut std::net::TcpStream| {
        std::io::Write::write_all(stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    };
    ask(&mut idle);
    let mut some = [0; 1000];
    assert!(std::io::Read::read(&mut idle, &mut some).unwrap() > 0);
    let reloading = std::sync::Arc::clone(&app);
    let reload = tokio::spawn(async move { reloading.reload(spec, nobody()).await });
    until("it drains", || app.status().workers.iter().any(|worker| worker.state == WorkerState::Draining)).await;
    // The idle connection ends, and a new one ends after its response, while the worker still runs.
    let mut end = tokio::task::spawn_blocking(move || {
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut idle, &mut rest);
        let mut fresh = std::net::TcpStream::connect(address).unwrap();
        fresh.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        std::io::Write::write_all(&mut fresh, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut fresh, &mut text).unwrap();
        text
    });
    let text = tokio::time::timeout(crate::support::PATIENCE, &mut end).await.unwrap().unwrap();
    assert!(text.to_ascii_lowercase().contains("connection: close"), "{text}");
    assert!(!reload.is_finished());
    held.store(0, std::sync::atomic::Ordering::SeqCst);
    reload.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_script_that_ends_still_ends_and_an_error_still_is_one() {
    if !node() {
        return;
    }
    let scratch = Scratch::new("ends");
    // Neither the preload nor the channel keeps a process alive that has nothing left to do.
    let app = start(script(
        &scratch,
        "done.js",
        "const s = require('http').createServer().listen(3999, () => setTimeout(() => s.close(), 1500))",
    ));
    problem(&app, &["exited with status 0"]).await;
    app.shutdown().await;

    let app = start(script(&scratch, "throws.js", "throw new Error('no such thing')"));
    problem(&app, &["exited with status 1, saying: ", "Error: no such thing"]).await;
    app.shutdown().await;

    // An error of the first listen() is the app's, as without us.
    let app = start(script(
        &scratch,
        "taken.js",
        "const net = require('net'); net.createServer().listen({ port: +process.env.PORT, host: process.env.HOST }); require('http').createServer().listen(+process.env.PORT, process.env.HOST)",
    ));
    problem(&app, &["exited with status 1", "EADDRINUSE"]).await;
    app.shutdown().await;
}

#[tokio::test]
async fn npm_start_and_a_cluster_are_heard_too() {
    if !node() {
        return;
    }
    let scratch = Scratch::new("npm");
    let npm = Path::new("/usr/bin/npm").exists() || std::process::Command::new("npm").arg("--version").output().is_ok();
    if npm {
        fs::write(
            scratch.path().join("package.json"),
            r#"{"name":"a","version":"1.0.0","scripts":{"start":"node server.js"}}"#,
        )
        .unwrap();
        let mut spec = script(&scratch, "server.js", HELLO);
        spec.command = ["npm", "start"].map(str::to_owned).to_vec();
        spec.stop.signal = StopSignal::Int;
        let app = start(spec);
        ready(&app, 1).await;
        until("it reports", || app.status().workers[0].event_loop.is_some()).await;
        app.shutdown().await;
    }
    let cluster = "const c = require('cluster'); if (c.isPrimary ?? c.isMaster) { c.fork(); c.fork(); } else { require('http').createServer((q, s) => s.end('x')).listen(3999); }";
    let app = start(script(&scratch, "cluster.js", cluster));
    ready(&app, 1).await;
    until("it reports", || app.status().workers[0].event_loop.is_some()).await;
    let first = pid(&app);
    app.shutdown().await;
    assert!(!crate::support::runs(first));
}

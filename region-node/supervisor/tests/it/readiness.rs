//! How workers say that they are ready, and what is told when they do not.

use std::time::Duration;

use supervisor::{AppSpec, Pattern, Ready, WorkerState};

use crate::support::{app, problem, ready, server, start, until};

/// Python that does something before it serves.
fn python(before: &str) -> AppSpec {
    let script = format!("{before}\n{}", crate::support::SERVER);
    app(&["python3", "-u", "-c", &script])
}

const NOTIFY: &str = r#"
import os, socket, threading, time
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
say = lambda text: notify.send(text.encode())
"#;

#[tokio::test]
async fn a_line_of_output_makes_ready() {
    let pattern = Pattern::new("listening on *:*").unwrap();
    let spec = AppSpec {
        ready: Ready::Log(pattern.clone()),
        health_path: None,
        ..python("print('\\x1b[32mlistening\\x1b[0m on a:1')")
    };
    let supervisor = start(spec);
    ready(&supervisor, 1).await;
    supervisor.shutdown().await;

    let mut spec = AppSpec { ready: Ready::Log(pattern), health_path: None, ..python("print('hello')") };
    spec.timing.ready_timeout = Duration::from_secs(1);
    let supervisor = start(spec);
    problem(&supervisor, &["wrote no line with `listening on *:*` for 1s", "saying: hello"]).await;
    supervisor.shutdown().await;
}

#[tokio::test]
async fn accepting_connections_makes_ready() {
    let mut spec = AppSpec { ready: Ready::Tcp, health_path: None, ..server() };
    // Its HTTP answers do not count.
    spec.env.insert("STATUS".to_owned(), "500".to_owned());
    let supervisor = start(spec);
    ready(&supervisor, 1).await;
    supervisor.shutdown().await;
}

#[tokio::test]
async fn sd_notify_makes_ready_tells_a_status_and_says_goodbye() {
    let scratch = crate::support::Scratch::new("goodbye");
    let leave = scratch.path().join("leave");
    let goodbye = "threading.Thread(target=lambda: ([time.sleep(0.05) for _ in iter(lambda: os.path.exists(FILE), True)], \
        say('STOPPING=1')), daemon=True).start()";
    let goodbye = goodbye.replace("FILE", &format!("'{}'", leave.display()));
    let before = format!("{NOTIFY}\nsay('STATUS=warming up')\nsay('READY=1')\n{goodbye}");
    let supervisor = start(AppSpec { ready: Ready::SdNotify, health_path: None, ..python(&before) });
    ready(&supervisor, 1).await;
    assert_eq!(supervisor.status().workers[0].says.as_deref(), Some("warming up"));
    std::fs::write(&leave, "").unwrap();
    until("it leaves by itself", || supervisor.workers().borrow().iter().all(|worker| worker.draining)).await;
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_watchdog_that_is_not_fed_ends_its_worker() {
    // Fed three times, then never again.
    let before = format!(
        "{NOTIFY}\nassert os.environ['WATCHDOG_USEC'] == '1000000'\nsay('READY=1')\n\
         threading.Thread(target=lambda: [(time.sleep(0.5), say('WATCHDOG=1')) for _ in range(3)], daemon=True).start()"
    );
    let mut spec = AppSpec { ready: Ready::SdNotify, health_path: None, ..python(&before) };
    spec.limits.watchdog = Some(Duration::from_secs(1));
    let supervisor = start(spec);
    ready(&supervisor, 1).await;
    problem(&supervisor, &["did not send WATCHDOG=1 for 1s"]).await;
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_listens_elsewhere_is_told_where() {
    let elsewhere = "import os, socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n\
        print('other port', s.getsockname()[1])\nimport time; time.sleep(1000)";
    let mut spec = app(&["python3", "-u", "-c", elsewhere]);
    spec.timing.ready_timeout = Duration::from_secs(1);
    let supervisor = start(spec.clone());
    let told = problem(&supervisor, &["saying: other port ", "it listens on ", ", not on PORT="]).await;
    let listens = told.split("it listens on ").nth(1).unwrap_or_default();
    let port = listens.split(',').next().unwrap_or_default();
    assert!(told.contains(&format!("saying: other port {port}")) && !port.is_empty(), "{told}");
    supervisor.shutdown().await;

    spec.command = ["sh", "-c", "sleep 1000"].map(str::to_owned).to_vec();
    let supervisor = start(spec);
    problem(&supervisor, &["it listens on no TCP port at all, PORT="]).await;
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_listening_socket_is_passed_like_systemd_does() {
    let take = r#"
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDS"] == "1", os.environ
s = socket.socket(fileno=3)
assert s.getsockname()[1] == int(os.environ["PORT"])
while True:
    c, _ = s.accept(); c.recv(1000); c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"); c.close()
"#;
    let supervisor = start(AppSpec { listen_fds: true, ..app(&["python3", "-c", take]) });
    ready(&supervisor, 1).await;
    supervisor.shutdown().await;

    // A program that cannot be run is still told.
    let supervisor = start(AppSpec { listen_fds: true, ..app(&["sh", "-c", "exit 9"]) });
    problem(&supervisor, &["exited with status 9"]).await;
    supervisor.shutdown().await;
}

#[tokio::test]
async fn what_listens_nowhere_is_ready_when_it_has_run_for_a_second() {
    let spec = AppSpec { ready: Ready::Started, health_path: None, ..app(&["sleep", "1000"]) };
    let supervisor = start(spec);
    ready(&supervisor, 1).await;
    supervisor.reload(AppSpec::clone(&supervisor.spec()), crate::support::nobody()).await.unwrap();
    let broken = AppSpec { ready: Ready::Started, health_path: None, ..app(&["sh", "-c", "exit 5"]) };
    let failed = supervisor.reload(broken, crate::support::nobody()).await.unwrap_err();
    assert!(failed.why.contains("exited with status 5"), "{failed:?}");
    assert_eq!(supervisor.status().workers[0].state, WorkerState::Ready, "the one before stays");
    assert!(supervisor.logs(&supervisor::LogQuery { lines: 10, slot: None }).is_empty(), "nothing is written for it");
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_fails_its_checks_gets_no_requests_until_it_passes_again() {
    let scratch = crate::support::Scratch::new("unwell");
    let file = scratch.path().join("unwell");
    let mut spec = server();
    spec.env.insert("UNWELL".to_owned(), file.display().to_string());
    let supervisor = start(spec);
    ready(&supervisor, 1).await;
    std::fs::write(&file, "").unwrap();
    until("it is found out", || supervisor.status().workers[0].state == WorkerState::Unhealthy).await;
    assert!(
        supervisor.status().workers[0].problem.as_ref().is_some_and(|told| told.contains("fails its health checks"))
    );
    assert!(supervisor.workers().borrow().iter().all(|worker| !worker.takes_requests()));
    std::fs::remove_file(&file).unwrap();
    ready(&supervisor, 1).await;
    assert_eq!((supervisor.status().workers[0].restarts, supervisor.status().workers[0].problem.clone()), (0, None));
    supervisor.shutdown().await;
}

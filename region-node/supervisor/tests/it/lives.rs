//! A worker's lives: ready, crash, restart, hang, stop; and apps that cannot run.

use std::{collections::BTreeSet, os::unix::fs::PermissionsExt, time::Duration};

use supervisor::{AppSpec, PortChoice, Wiring};

use crate::support::{Scratch, app, get, kill, pid, ready, runs, server, start, until};

#[tokio::test]
async fn every_worker_has_its_port_and_finds_its_region() {
    let mut spec = AppSpec { instances: 2, ..server() };
    spec.env.insert("GREETING".to_owned(), "hello".to_owned());
    spec.env.insert("PORT".to_owned(), "1".to_owned());
    spec.primary_region = Some("us-east".to_owned());
    spec.region_node_url = Some("http://127.0.0.1:8080".to_owned());
    let supervisor = start(spec);
    ready(&supervisor, 2).await;
    let workers = supervisor.workers().borrow().clone();
    let ports: BTreeSet<u16> = workers.iter().map(|worker| worker.address.port()).collect();
    assert_eq!(ports.len(), 2);
    for worker in workers.iter() {
        let environment = get(worker.address);
        for line in [
            format!("PORT={}", worker.address.port()),
            format!("NODE_APP_INSTANCE={}", worker.id),
            "HOST=127.0.0.1".to_owned(),
            format!("INSTANCE_ID={}", worker.id),
            "RELEASE_ID=1".to_owned(),
            "REGION=eu-west".to_owned(),
            "FLY_REGION=eu-west".to_owned(),
            "PRIMARY_REGION=us-east".to_owned(),
            "REGION_NODE_URL=http://127.0.0.1:8080".to_owned(),
            "REDIS_URL=redis://127.0.0.1:6379".to_owned(),
            "ATOLL_APP=shop".to_owned(),
            "GREETING=hello".to_owned(),
        ] {
            assert!(environment.lines().any(|have| have == line), "{line} is not in\n{environment}");
        }
    }
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_killed_worker_leaves_the_list_at_once_and_comes_back() {
    let supervisor = start(server());
    ready(&supervisor, 1).await;
    let first = pid(&supervisor);
    let mut workers = supervisor.workers();
    workers.mark_unchanged();
    kill(first);
    workers.changed().await.unwrap();
    assert!(workers.borrow().iter().all(|worker| !worker.ready));
    ready(&supervisor, 1).await;
    assert_ne!(pid(&supervisor), first);
    assert_eq!(supervisor.status().workers[0].restarts, 1);
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_exits_at_once_is_restarted_ever_more_slowly_and_says_why() {
    let supervisor = start(app(&["sh", "-c", "echo no such module: express >&2; exit 3"]));
    until("it was restarted a few times", || supervisor.status().workers[0].restarts >= 3).await;
    until("it says why", || supervisor.status().workers[0].problem.is_some()).await;
    let problem = supervisor.status().workers[0].problem.clone().unwrap();
    assert!(problem.contains("exited with status 3, saying: no such module: express"), "{problem}");
    assert!(problem.contains("next start in"), "{problem}");
    assert!(supervisor.workers().borrow().iter().all(|worker| !worker.ready));
    supervisor.shutdown().await;
}

#[tokio::test]
async fn listening_is_enough_where_the_health_path_is_unknown_but_not_where_it_fails() {
    let status = |status: &str| {
        let mut spec = server();
        spec.env.insert("STATUS".to_owned(), status.to_owned());
        spec.timing.ready_timeout = Duration::from_millis(1500);
        spec
    };
    let supervisor = start(status("404"));
    ready(&supervisor, 1).await;
    supervisor.shutdown().await;

    let supervisor = start(status("500"));
    until("it was given up", || supervisor.status().workers[0].restarts >= 1).await;
    let problem = supervisor.status().workers[0].problem.clone().unwrap();
    assert!(problem.contains("did not pass its health check at /healthz for 1.5s"), "{problem}");
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_ends_what_a_worker_started_even_if_it_ignores_sigterm() {
    let scratch = Scratch::new("stubborn");
    let file = scratch.path().join("pids");
    let script = format!("trap '' TERM; sleep 1000 & echo $$ $! > {0}.new; mv {0}.new {0}; wait; wait", file.display());
    let mut spec = app(&["sh", "-c", &script]);
    spec.timing.kill_timeout = Duration::from_millis(300);
    let supervisor = start(spec);
    until("both run", || file.exists()).await;
    let pids: Vec<u32> =
        std::fs::read_to_string(&file).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| runs(*pid)));
    supervisor.shutdown().await;
    until("both are gone", || !pids.iter().any(|pid| runs(*pid))).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_passed_over() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = taken.local_addr().unwrap().port();
    let supervisor = start(AppSpec { ports: PortChoice::From(base), ..server() });
    ready(&supervisor, 1).await;
    assert_ne!(supervisor.workers().borrow()[0].address.port(), base);
    supervisor.shutdown().await;
}

fn check_refused(spec: AppSpec, expected: &str) {
    let error = supervisor::start(spec, Wiring::alone()).err().unwrap().to_string();
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn an_app_that_cannot_run_is_refused_with_what_to_do() {
    let scratch = Scratch::new("refused");
    let script = scratch.path().join("server.js");
    std::fs::write(&script, "").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o644)).unwrap();
    check_refused(app(&[]), "the command is empty; give a program");
    check_refused(app(&["no-such-program"]), "the program `no-such-program` was not found in PATH; install it");
    check_refused(AppSpec { instances: 0, ..app(&["sh"]) }, "instances is 0");
    check_refused(app(&[script.to_str().unwrap()]), "is not executable; run `chmod +x");
    check_refused(AppSpec { cwd: Some(scratch.path().join("gone")), ..app(&["sh"]) }, "create it, or correct `cwd`");
    check_refused(
        AppSpec { cwd: Some(scratch.path().to_owned()), ..app(&["./nothing.js"]) },
        "`./nothing.js` was not found in",
    );
}

#[tokio::test]
async fn a_program_without_its_interpreter_is_a_problem_of_its_worker() {
    let scratch = Scratch::new("interpreter");
    let program = scratch.path().join("program");
    std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let supervisor = start(app(&[program.to_str().unwrap()]));
    until("it says why", || supervisor.status().workers[0].problem.is_some()).await;
    let problem = supervisor.status().workers[0].problem.clone().unwrap();
    assert!(problem.contains("could not be started: No such file"), "{problem}");
    assert!(problem.contains("and the interpreter that it names installed?"), "{problem}");
    supervisor.shutdown().await;
}

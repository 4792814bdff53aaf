//! Workers' output: kept, live, in files; bounded whatever they write.

use std::time::Duration;

use supervisor::{LogEvent, LogFile, LogQuery, Stream};

use crate::support::{PATIENCE, Scratch, app, start, until};

#[tokio::test]
async fn the_last_lines_are_kept_with_slot_and_stream() {
    let mut spec =
        app(&["sh", "-c", "echo out $NODE_APP_INSTANCE; echo err >&2; printf '\\033[31mred\\033[0m\\n'; sleep 1000"]);
    spec.instances = 2;
    let app = start(spec);
    let of = |slot| LogQuery { lines: 0, slot: Some(slot) };
    until("all is written", || app.logs(&of(0)).len() == 3 && app.logs(&of(1)).len() == 3).await;
    let mut lines: Vec<(Stream, String)> =
        app.logs(&of(1)).iter().map(|line| (line.stream, line.text.clone())).collect();
    lines.sort_by_key(|(stream, _)| *stream == Stream::Err);
    let told = |text: &str| text.to_owned();
    assert_eq!(
        lines,
        [(Stream::Out, told("out 1")), (Stream::Out, told("\u{1b}[31mred\u{1b}[0m")), (Stream::Err, told("err"))]
    );
    assert_eq!(app.logs(&LogQuery { lines: 4, slot: None }).len(), 4);
    app.shutdown().await;
}

#[tokio::test]
async fn a_flood_is_bounded_and_a_slow_listener_is_told_what_it_lost() {
    let scratch = Scratch::new("flood");
    let go = scratch.path().join("go");
    // 16 MiB without any end of line, then lines for ever.
    let script =
        format!("while ! [ -e {} ]; do sleep 0.05; done; head -c 16777216 /dev/zero | tr '\\0' x; yes", go.display());
    let mut spec = app(&["sh", "-c", &script]);
    spec.log.keep_lines = 100;
    spec.log.forward = false;
    let app = start(spec);
    let mut tail = app.subscribe();
    std::fs::write(&go, "").unwrap();
    until("the lines come", || app.logs(&LogQuery::default()).iter().any(|line| line.text == "y")).await;
    let LogEvent::Lost(lost) = tail.next().await.unwrap() else { panic!("it lost nothing") };
    assert!(lost > 1000, "{lost}");
    assert!(matches!(tail.next().await, Some(LogEvent::Line(_) | LogEvent::Lost(_))));
    let kept = app.logs(&LogQuery::default());
    assert!(kept.len() <= 100, "{}", kept.len());
    // Whoever writes as fast as it can is still asked to end, and does.
    tokio::time::timeout(PATIENCE, app.shutdown()).await.unwrap();
}

#[tokio::test]
async fn pieces_of_an_endless_line_are_marked() {
    let app = start(app(&["sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x; sleep 1000"]));
    until("two pieces are there", || app.logs(&LogQuery::default()).len() == 2).await;
    let lines = app.logs(&LogQuery::default());
    assert!(lines.iter().all(|line| line.partial && line.text.len() == 8192));
    app.shutdown().await;
}

#[tokio::test]
async fn files_hold_what_all_workers_wrote_in_both_forms() {
    let scratch = Scratch::new("files");
    for json in [false, true] {
        let path = scratch.path().join(format!("{json}/out.log"));
        let mut spec = app(&["sh", "-c", "for n in 1 2 3 4 5 6 7 8; do echo line $n; done; sleep 1000"]);
        spec.log.file = Some(LogFile { path: path.clone(), max_bytes: if json { 1 << 20 } else { 30 }, keep: 3, json });
        let app = start(spec);
        let last = if json { "\"text\":\"line 8\"" } else { "line 8\n" };
        until("it is written", || std::fs::read_to_string(&path).is_ok_and(|text| text.contains(last))).await;
        assert_eq!(path.with_extension("log.1").exists(), !json);
        app.shutdown().await;
    }
    let refused = {
        let mut spec = app(&["sleep", "1"]);
        spec.log.file = Some(LogFile { path: "/proc/no/out.log".into(), max_bytes: 1, keep: 1, json: false });
        supervisor::start(spec, supervisor::Wiring::alone()).err().unwrap().to_string()
    };
    assert!(refused.contains("app shop: cannot write its log file /proc/no/out.log"), "{refused}");
}

#[tokio::test]
async fn a_tail_ends_with_its_app() {
    let app = start(app(&["sh", "-c", "echo one; sleep 1000"]));
    let mut tail = app.subscribe();
    let LogEvent::Line(line) = tokio::time::timeout(PATIENCE, tail.next()).await.unwrap().unwrap() else { panic!() };
    assert_eq!((line.text.as_str(), line.slot, line.partial), ("one", 0, false));
    app.shutdown().await;
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), tail.next()).await.unwrap(), None);
}

//! The log file of an app: lines from all its workers, rotated by size. A thread of its own writes it, so a slow disk makes the
//! workers wait at their pipes, never the runtime.

use std::{
    fs, io,
    sync::Arc,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use rotating_log::RotatingLog;
use tokio::sync::mpsc;

use crate::{
    logs::{LogLine, Stream},
    spec::LogFile,
};

/// Lines that wait for the disk.
const QUEUE_LINES: usize = 256;

/// Opens the file and starts its thread, which ends with the last sender.
pub(crate) fn start(app: &str, file: &LogFile) -> io::Result<mpsc::Sender<Arc<LogLine>>> {
    let mut writer = Writer::open(app, file)?;
    let (lines, mut inbox) = mpsc::channel::<Arc<LogLine>>(QUEUE_LINES);
    thread::Builder::new().name("atoll-app-log".to_owned()).spawn(move || {
        let mut failing = false;
        while let Some(line) = inbox.blocking_recv() {
            let written = writer.write(&line).and_then(|()| if inbox.is_empty() { writer.flush() } else { Ok(()) });
            match written {
                Err(error) if !failing => {
                    let path = writer.spec.path.display();
                    tracing::warn!(app = %writer.app, %error, "lines of the app are not written to {path}; they are still kept in memory");
                    failing = true;
                }
                Err(_) => {}
                Ok(()) => failing = false,
            }
        }
    })?;
    Ok(lines)
}

struct Writer {
    app: String,
    spec: LogFile,
    file: RotatingLog,
}

impl Writer {
    fn open(app: &str, spec: &LogFile) -> io::Result<Self> {
        if let Some(folder) = spec.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = RotatingLog::open(&spec.path, spec.max_bytes, spec.keep)?;
        Ok(Self { app: app.to_owned(), spec: spec.clone(), file })
    }

    fn write(&mut self, line: &LogLine) -> io::Result<()> {
        let mut text = if self.spec.json { json(&self.app, line) } else { line.text.clone() };
        if self.spec.json || !line.partial {
            text.push('\n');
        }
        self.file.write(&text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn json(app: &str, line: &LogLine) -> String {
    let stream = match line.stream {
        Stream::Out => "out",
        Stream::Err => "err",
    };
    let time_ms = unix_ms(line.time);
    let mut object = serde_json::json!({
        "time_ms": time_ms, "app": app, "worker": line.slot, "life": line.life, "stream": stream, "text": line.text,
    });
    if line.partial {
        object["partial"] = true.into();
    }
    object.to_string()
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, partial: bool) -> LogLine {
        let time = UNIX_EPOCH + std::time::Duration::from_millis(1500);
        LogLine { time, slot: 2, life: 7, stream: Stream::Err, text: text.to_owned(), partial }
    }

    #[test]
    fn a_file_is_made_with_its_folder_and_pieces_of_a_line_stay_one_line() {
        let folder = std::env::temp_dir().join(format!("atoll-log-file-{}", std::process::id()));
        let path = folder.join("deep/out.log");
        let spec = LogFile { path: path.clone(), max_bytes: 1000, keep: 2, json: false };
        let mut writer = Writer::open("shop", &spec).unwrap();
        for (text, partial) in [("one", false), ("tw", true), ("o", false)] {
            writer.write(&line(text, partial)).unwrap();
        }
        writer.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn json_lines_say_who_wrote_them() {
        assert_eq!(
            json("shop", &line("a \"b\"", true)),
            r#"{"app":"shop","life":7,"partial":true,"stream":"err","text":"a \"b\"","time_ms":1500,"worker":2}"#
        );
    }
}

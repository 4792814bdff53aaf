//! Plays steps to both servers and compares what they say.

use super::{
    allowed,
    grammar::{Command, Mode},
    replies::{Value, agree},
    steps::Step,
    talk,
};
use crate::wire::{Wire, command as encode};

/// Commands sent before their replies are read.
const BATCH: usize = 64;

/// The same two connections to each of the two servers.
pub(crate) struct Pair {
    ours: [Wire; 2],
    theirs: [Wire; 2],
    /// Commands compared so far.
    pub(crate) compared: usize,
    /// Replies differed as documented: from there on the two states may differ.
    apart: bool,
}

/// Two replies that do not agree.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Index of the step.
    pub(crate) step: usize,
    pub(crate) command: Command,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

/// Where a transaction is: what it has queued so far.
#[derive(Default)]
struct Queue(Option<Vec<Command>>);

impl Pair {
    pub(crate) fn connect(ours: std::net::SocketAddr, theirs: std::net::SocketAddr) -> Self {
        let two = |address| [Wire::connect(address), Wire::connect(address)];
        Self { ours: two(ours), theirs: two(theirs), compared: 0, apart: false }
    }

    /// Chooses the version of the protocol.
    pub(crate) fn hello(&mut self, version: &str) {
        for wire in self.ours.iter_mut().chain(&mut self.theirs) {
            wire.ask(&["HELLO", version]);
        }
    }

    /// Asks both sides.
    pub(crate) fn ask(&mut self, words: &[Vec<u8>]) -> (Value, Value) {
        self.ask_on(0, words)
    }

    fn ask_on(&mut self, connection: usize, words: &[Vec<u8>]) -> (Value, Value) {
        let (ours, theirs) = (&mut self.ours[connection], &mut self.theirs[connection]);
        ours.send(&encode(words));
        theirs.send(&encode(words));
        (Value::parse(&ours.reply()), Value::parse(&theirs.reply()))
    }

    /// Forgets transactions and removes every key on both sides.
    pub(crate) fn clear(&mut self) {
        for word in ["DISCARD", "UNWATCH"] {
            self.ask(&[word.as_bytes().to_vec()]);
        }
        let keys = self.ask(&[b"KEYS".to_vec(), b"*".to_vec()]);
        for (wire, keys) in [(&mut self.ours[0], keys.0), (&mut self.theirs[0], keys.1)] {
            for key in keys.leaves() {
                wire.ask(&[b"DEL".to_vec(), key]);
            }
        }
    }

    /// Plays all steps; stops at the first replies that do not agree.
    pub(crate) fn play(&mut self, steps: &[Step]) -> Result<(), Mismatch> {
        let mut queue = Queue::default();
        let mut batch: Vec<(usize, &Command)> = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            for (nth, line) in step.0.iter().enumerate() {
                let alone = line.other || line.command.mode.is_talk();
                // Transactions stay in one piece: between two batches both sides may begin anew, outside MULTI.
                if alone || (nth == 0 && batch.len() >= BATCH) {
                    self.flush(&mut batch, &mut queue)?;
                }
                match (line.other, line.command.mode.is_talk()) {
                    (true, _) => {
                        let (ours, theirs) = self.ask_on(1, &line.command.words);
                        self.compare(at, &line.command, line.command.mode, &ours, &theirs)?;
                    }
                    (_, true) => {
                        self.talk(at, &line.command)?;
                        self.rejoin(&mut queue);
                    }
                    _ => batch.push((at, &line.command)),
                }
            }
        }
        self.flush(&mut batch, &mut queue)
    }

    /// Sends what was gathered, and compares the replies.
    fn flush(&mut self, batch: &mut Vec<(usize, &Command)>, queue: &mut Queue) -> Result<(), Mismatch> {
        let bytes: Vec<u8> = batch.iter().flat_map(|(_, command)| encode(&command.words)).collect();
        self.ours[0].send(&bytes);
        self.theirs[0].send(&bytes);
        let replies: Vec<(Value, Value)> = batch
            .iter()
            .map(|_| (Value::parse(&self.ours[0].reply()), Value::parse(&self.theirs[0].reply())))
            .collect();
        for ((at, command), (ours, theirs)) in batch.drain(..).zip(replies) {
            if self.apart {
                continue;
            }
            match queue.run_by(command, &theirs) {
                Some(queued) => self.compare_each(at, command, &queued, &ours, &theirs)?,
                None => self.compare(at, command, command.mode, &ours, &theirs)?,
            }
        }
        self.rejoin(queue);
        Ok(())
    }

    /// Where the states may differ, both begin anew.
    fn rejoin(&mut self, queue: &mut Queue) {
        if std::mem::take(&mut self.apart) {
            *queue = Queue::default();
            self.clear();
        }
    }

    fn compare(
        &mut self,
        step: usize,
        command: &Command,
        mode: Mode,
        ours: &Value,
        theirs: &Value,
    ) -> Result<(), Mismatch> {
        self.compared += 1;
        if agree(mode, ours, theirs) {
            return Ok(());
        }
        if allowed::find(command, ours, theirs).is_some() {
            self.apart = true;
            return Ok(());
        }
        Err(Mismatch { step, command: command.clone(), ours: ours.to_string(), theirs: theirs.to_string() })
    }

    /// The replies inside EXEC's, each as its own command says.
    fn compare_each(
        &mut self,
        step: usize,
        exec: &Command,
        queued: &[Command],
        ours: &Value,
        theirs: &Value,
    ) -> Result<(), Mismatch> {
        match (ours, theirs) {
            (Value::Many(_, our_items), Value::Many(_, their_items)) if our_items.len() == their_items.len() => {
                for ((command, ours), theirs) in queued.iter().zip(our_items).zip(their_items) {
                    if !self.apart {
                        self.compare(step, command, command.mode, ours, theirs)?;
                    }
                }
                Ok(())
            }
            _ => self.compare(step, exec, Mode::Exact, ours, theirs),
        }
    }

    /// A command that luck or a cursor answers.
    fn talk(&mut self, step: usize, command: &Command) -> Result<(), Mismatch> {
        match talk::check(command, &mut self.ours[0], &mut self.theirs[0]) {
            Ok(()) => {
                self.compared += 1;
                Ok(())
            }
            Err(replies) => self.compare(step, command, Mode::Exact, &replies[0], &replies[1]),
        }
    }
}

impl Queue {
    /// Follows a transaction along; for an EXEC gives what was queued.
    fn run_by(&mut self, command: &Command, theirs: &Value) -> Option<Vec<Command>> {
        let queued = theirs.is("+QUEUED");
        match (command.name().as_str(), &mut self.0) {
            ("MULTI", _) => {
                self.0 = Some(Vec::new());
                None
            }
            ("EXEC", queue) => queue.take(),
            ("DISCARD", queue) => {
                *queue = None;
                None
            }
            (_, Some(commands)) if queued => {
                commands.push(command.clone());
                None
            }
            _ => None,
        }
    }
}

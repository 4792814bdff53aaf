//! One command being executed: its arguments, its connection, the store, and the buffer its reply goes into.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use replication_core::{MAX_KEY_BYTES, Op, OpError, Reply, Transaction, partition_of};
use replication_storage::{StateStore, WriteMark};

use crate::{
    access::Access,
    blocking::{Touched, Waiting},
    client::Client,
    resp::{Writer, parse_i64},
    server::Server,
    table::{self, Command, flag},
    transaction::{Queue, Watched},
};

/// Why a command was refused, as the client reads it: a code and a sentence, in Redis's own words where Redis has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) Cow<'static, str>);

/// A command either has written its reply, or is refused and has written nothing that counts.
pub(crate) type Answer = Result<(), Refusal>;

impl Refusal {
    pub(crate) const SYNTAX: Self = Self(Cow::Borrowed("ERR syntax error"));
    pub(crate) const NOT_AN_INTEGER: Self = Self(Cow::Borrowed("ERR value is not an integer or out of range"));

    /// Keys of a command, or of a transaction, that lie in several partitions.
    pub(crate) const CROSS_SLOT: Self = Self(Cow::Borrowed(
        "CROSSSLOT Keys in request don't hash to the same slot; give them a common hash tag, as in {user1}:name {user1}:cart",
    ));
    /// Nothing is answered: the connection is closing.
    const SILENT: Self = Self(Cow::Borrowed(""));

    /// A command that looks at more than the partition that a transaction holds.
    pub(crate) fn not_in_multi(command: &Command) -> Self {
        Self(format!("ERR Command '{}' is not allowed inside a transaction", command.name).into())
    }

    /// The wrong number of arguments for the command of that name.
    pub(crate) fn arity(name: &str) -> Self {
        Self(format!("ERR wrong number of arguments for '{name}' command").into())
    }

    fn unknown_command(args: &[Bytes]) -> Self {
        let mut rest = String::new();
        for arg in &args[1..] {
            if rest.len() >= 128 {
                break;
            }
            rest += &format!("'{}' ", shown(arg, 128 - rest.len()));
        }
        Self(format!("ERR unknown command '{}', with args beginning with: {rest}", shown(&args[0], 128)).into())
    }

    fn unknown_subcommand(container: &Command, name: &[u8]) -> Self {
        let help = container.name.to_ascii_uppercase();
        Self(format!("ERR unknown subcommand '{}'. Try {help} HELP.", shown(name, 128)).into())
    }
}

impl From<&'static str> for Refusal {
    fn from(text: &'static str) -> Self {
        Self(text.into())
    }
}

/// The beginning of a client's own text, as Redis repeats it in an error: up to the first zero byte.
pub(crate) fn shown(text: &[u8], limit: usize) -> Cow<'_, str> {
    let text = &text[..text.len().min(limit)];
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end])
}

/// What a connection remembers between commands.
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    /// Whether it may do more than log in.
    pub(crate) authenticated: bool,
    /// The newest write that must be persisted before anything is answered.
    pub(crate) unpersisted: Option<WriteMark>,
    /// The reply is the last one.
    pub(crate) closing: bool,
    /// The command that ran last.
    pub(crate) last: Option<&'static Command>,
    /// Commands that were answered with an error since the connection last counted them.
    pub(crate) errors: u64,
    /// MULTI has been said, EXEC not yet.
    pub(crate) multi: Option<Queue>,
    /// The keys that WATCH named, as they were then.
    pub(crate) watched: Watched,
    /// The last command found nothing and waits: no other one runs before it is served.
    pub(crate) waiting: Option<Waiting>,
    /// What the command in hand has written to, as long as anybody waits for elements.
    pub(crate) touched: Vec<Touched>,
}

/// One command being executed.
pub(crate) struct Call<'a> {
    pub(crate) command: &'static Command,
    /// The arguments, the command's name first; never empty.
    pub(crate) args: &'a [Bytes],
    pub(crate) session: &'a mut Session,
    pub(crate) server: &'a Server,
    pub(crate) out: &'a mut Writer,
    /// The transaction that the command is part of, if it is part of one.
    pub(crate) transaction: Option<&'a mut (dyn Execute + 'a)>,
}

/// What runs ops: a transaction, whatever it borrows.
pub(crate) trait Execute {
    /// The partition it holds.
    fn partition(&self) -> u16;
    /// Runs one op of that partition.
    fn execute(&mut self, op: &Op) -> Reply;
}

/// Replies of one command may fill this much memory; a client that asks for more is disconnected, as in Redis.
pub(crate) const REPLY_LIMIT: usize = 256 << 20;

/// Executes one command and writes its reply or its error.
pub(crate) fn dispatch(args: &[Bytes], session: &mut Session, server: &Server, out: &mut Writer) {
    let before = out.len();
    if let Err(refusal) = run(args, session, server, out) {
        session.errors += 1;
        out.truncate(before);
        if refusal != Refusal::SILENT {
            out.error(&refusal.0);
        }
    }
    if !session.touched.is_empty() {
        server.blocking.serve(&session.touched);
        session.touched.clear();
    }
}

/// The partition of all these keys; `None` if there are none.
pub(crate) fn one_partition<'k>(mut keys: impl Iterator<Item = &'k Bytes>) -> Result<Option<u16>, Refusal> {
    let Some(first) = keys.next().map(|key| partition_of(key)) else { return Ok(None) };
    if keys.all(|key| partition_of(key) == first) { Ok(Some(first)) } else { Err(Refusal::CROSS_SLOT) }
}

/// A transaction of the store, with the partition it holds.
pub(crate) struct Held<'a, 'p> {
    pub(crate) partition: u16,
    pub(crate) transaction: &'a mut Transaction<'p>,
}

impl Execute for Held<'_, '_> {
    fn partition(&self) -> u16 {
        self.partition
    }

    fn execute(&mut self, op: &Op) -> Reply {
        self.transaction.execute(op)
    }
}

impl Session {
    /// Nothing is answered before `mark` is persisted.
    pub(crate) fn note(&mut self, mark: WriteMark) {
        self.unpersisted = Some(self.unpersisted.map_or(mark, |earlier| earlier.join(mark)));
    }
}

fn run(args: &[Bytes], session: &mut Session, server: &Server, out: &mut Writer) -> Answer {
    let found = prepare(args, session).and_then(|command| has_room(command, server));
    if let Some(queue) = &mut session.multi
        && !matches!(&found, Ok(command) if command.is(flag::NOW_IN_MULTI))
    {
        return queue.take(found, args, session.watched.partition(), out);
    }
    let command = found?;
    let Some(handler) = command.handler else { return Err(Refusal::arity(command.name)) };
    handler(&mut Call { command, args, session, server, out, transaction: None })
}

/// An EXEC that cannot be understood ends its transaction all the same.
pub(crate) fn abort(session: &mut Session, why: &Refusal) -> Refusal {
    session.multi = None;
    session.watched.clear();
    let why = why.0.trim_start_matches("ERR ");
    Refusal(format!("EXECABORT Transaction discarded because of: {why}").into())
}

/// Refuses what may add to a state that is as large as it may be: the whole command, before any of its ops is refused by the store.
fn has_room(command: &'static Command, server: &Server) -> Result<&'static Command, Refusal> {
    if command.is(flag::DENYOOM) && server.store.is_full() {
        return Err(Refusal(OpError::OutOfMemory.to_string().into()));
    }
    Ok(command)
}

/// Finds the command and checks what can be checked without running it.
fn prepare(args: &[Bytes], session: &mut Session) -> Result<&'static Command, Refusal> {
    let name = &args[0];
    let Some(mut command) = table::find(name) else {
        if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
            // A browser that was talked into posting to this port. The lines that follow are somebody else's commands, so
            // there is no reply and no next command, as in Redis.
            session.closing = true;
            return Err(Refusal::SILENT);
        }
        return Err(Refusal::unknown_command(args));
    };
    if !command.subcommands.is_empty()
        && let Some(sub) = args.get(1)
    {
        command = command.subcommand(sub).ok_or_else(|| Refusal::unknown_subcommand(command, sub))?;
    }
    session.last = Some(command);
    if !command.accepts(args.len()) {
        let refusal = Refusal::arity(command.name);
        return Err(if command.name == "exec" { abort(session, &refusal) } else { refusal });
    }
    if !session.authenticated && !command.is(flag::NO_AUTH) {
        return Err("NOAUTH Authentication required.".into());
    }
    if let Some(keys) = command.keys
        && keys.positions(args).any(|at| args[at].len() > MAX_KEY_BYTES)
    {
        // Asked before anything runs, so that of many keys either all are looked at or none.
        return Err(Refusal(OpError::KeyTooLong.to_string().into()));
    }
    Ok(command)
}

impl Call<'_> {
    /// The argument at `at`, which the arity has made sure of.
    pub(crate) fn arg(&self, at: usize) -> Bytes {
        self.args[at].clone()
    }

    /// The key, where there is only one.
    pub(crate) fn key(&self) -> Bytes {
        self.arg(1)
    }

    /// The arguments from `at` on.
    pub(crate) fn rest(&self, at: usize) -> Vec<Bytes> {
        self.args[at..].to_vec()
    }

    /// The argument at `at` as an integer.
    pub(crate) fn int(&self, at: usize) -> Result<i64, Refusal> {
        parse_i64(&self.args[at]).ok_or(Refusal::NOT_AN_INTEGER)
    }

    /// Who may log in.
    pub(crate) fn access(&self) -> &Access {
        &self.server.access
    }

    /// The store, for commands that look at more than one partition. Never inside a transaction, which holds a lock of it.
    pub(crate) fn store(&self) -> Result<&StateStore, Refusal> {
        if self.transaction.is_none() { Ok(&self.server.store) } else { Err(Refusal::not_in_multi(self.command)) }
    }

    /// The partition that all keys of this call are of.
    pub(crate) fn same_partition(&self) -> Result<u16, Refusal> {
        let keys = self.command.keys.into_iter().flat_map(|keys| keys.positions(self.args));
        one_partition(keys.map(|at| &self.args[at]))?.ok_or(Refusal::SYNTAX)
    }

    /// Runs `body` as one transaction on `partition`: one change, atomic for every reader in every region. Inside MULTI that is
    /// so already.
    pub(crate) fn atomically(&mut self, partition: u16, body: impl FnOnce(&mut Call<'_>) -> Answer) -> Answer {
        if self.transaction.is_some() {
            return body(self);
        }
        let (command, args, server) = (self.command, self.args, self.server);
        let (session, out) = (&mut *self.session, &mut *self.out);
        let (answer, mark) = server.store.transact(partition, |transaction| {
            let mut held = Held { partition, transaction };
            body(&mut Call { command, args, session, server, out, transaction: Some(&mut held) })
        });
        if let Some(mark) = mark {
            self.wrote(mark, |touched| touched.push(Touched::Partition(partition)));
        }
        answer
    }

    /// The reply waits for what was written, and whoever waits for elements there is served after the command.
    pub(crate) fn wrote(&mut self, mark: WriteMark, touched: impl FnOnce(&mut Vec<Touched>)) {
        self.session.note(mark);
        if self.server.blocking.any() {
            touched(&mut self.session.touched);
        }
    }

    /// Runs `body` as one transaction where all keys of the call are of one partition; key by key, as it comes, otherwise.
    pub(crate) fn together(&mut self, body: impl FnOnce(&mut Call<'_>) -> Answer) -> Answer {
        match self.same_partition() {
            Ok(partition) => self.atomically(partition, body),
            Err(_) => body(self),
        }
    }

    /// Does one thing to one key. The reply must not leave before what was written is persisted; the connection sees to that.
    pub(crate) fn execute(&mut self, op: &Op) -> Result<Reply, Refusal> {
        let reply = match &mut self.transaction {
            Some(transaction) if partition_of(&op.key) != transaction.partition() => return Err(Refusal::CROSS_SLOT),
            Some(transaction) => transaction.execute(op),
            None => {
                let done = self.server.store.execute(op);
                if let Some(mark) = done.mark {
                    self.wrote(mark, |touched| {
                        let keys = std::iter::once(&op.key).chain(op.other_keys());
                        touched.extend(keys.cloned().map(Touched::Key));
                    });
                }
                done.reply
            }
        };
        match reply {
            // One op serves several commands; the client is told about the one it used.
            Reply::Error(OpError::InvalidExpire(_)) => {
                Err(Refusal(OpError::InvalidExpire(self.command.name).to_string().into()))
            }
            Reply::Error(error) => Err(Refusal(error.to_string().into())),
            reply => Ok(reply),
        }
    }

    /// Does one thing to one key and answers with what came of it.
    pub(crate) fn answer(&mut self, op: &Op) -> Answer {
        let reply = self.execute(op)?;
        self.out.reply(&reply);
        Ok(())
    }

    /// Does one thing to every key among the arguments and answers with the sum.
    pub(crate) fn answer_sum(&mut self, op: impl Fn(Bytes) -> Op) -> Answer {
        if self.args.len() == 2 {
            return self.answer(&op(self.arg(1)));
        }
        self.together(|call| {
            let mut sum = 0;
            for at in 1..call.args.len() {
                if let Reply::Int(one) = call.execute(&op(call.arg(at)))? {
                    sum += one;
                }
            }
            call.out.int(sum);
            Ok(())
        })
    }

    /// Whether the reply is already larger than any reply may be; it will not be sent.
    pub(crate) fn is_too_large(&self) -> bool {
        self.out.len() > REPLY_LIMIT
    }
}

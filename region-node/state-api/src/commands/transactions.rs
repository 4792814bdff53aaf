//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: many commands as one change of one partition, atomic for every reader in every region.

use replication_core::OpError;

use crate::{
    blocking::Touched,
    call::{Answer, Call, Held, Refusal, abort},
    server::Server,
    table::{Command, Keys, flag::*},
    transaction::{Queue, Watched},
};

const TRANSACTION: &[&str] = &["transaction"];
/// They run at once, inside MULTI too, and say themselves what they think of it.
const CONTROL: u32 = NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | NOW_IN_MULTI;

pub(super) const COMMANDS: &[Command] = &[
    Command::new("multi", 1, CONTROL, "transactions", multi)
        .categories(TRANSACTION)
        .about("1.2.0", "Start a transaction"),
    Command::new("exec", 1, NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG | NOW_IN_MULTI, "transactions", exec)
        .categories(TRANSACTION)
        .about("1.2.0", "Execute all commands issued after MULTI, as one change of one partition")
        .complexity("Depends on commands in the transaction"),
    Command::new("discard", 1, CONTROL, "transactions", discard)
        .categories(TRANSACTION)
        .about("2.0.0", "Discard all commands issued after MULTI")
        .complexity("O(N), when N is the number of queued commands"),
    Command::new("watch", -2, CONTROL, "transactions", watch)
        .keys(Keys::many(1, &["RO"]))
        .categories(TRANSACTION)
        .about("2.2.0", "Watch the given keys to determine execution of the MULTI/EXEC block")
        .complexity("O(1) for every key.")
        .usage("key [key ...]"),
    Command::new("unwatch", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, "transactions", unwatch)
        .categories(TRANSACTION)
        .about("2.2.0", "Forget about all watched keys"),
];

fn multi(call: &mut Call<'_>) -> Answer {
    if call.session.multi.is_some() {
        return Err("ERR MULTI calls can not be nested".into());
    }
    call.session.multi = Some(Queue::default());
    call.out.status("OK");
    Ok(())
}

fn discard(call: &mut Call<'_>) -> Answer {
    if call.session.multi.take().is_none() {
        return Err("ERR DISCARD without MULTI".into());
    }
    call.session.watched.clear();
    call.out.status("OK");
    Ok(())
}

fn watch(call: &mut Call<'_>) -> Answer {
    if call.session.multi.is_some() {
        return Err("ERR WATCH inside MULTI is not allowed".into());
    }
    let partition = call.same_partition()?;
    let (store, keys) = (&call.server.store, &call.args[1..]);
    call.session.watched.add(partition, keys, |key| store.fingerprint(key))?;
    call.out.status("OK");
    Ok(())
}

fn unwatch(call: &mut Call<'_>) -> Answer {
    call.session.watched.clear();
    call.out.status("OK");
    Ok(())
}

fn exec(call: &mut Call<'_>) -> Answer {
    let Some(queue) = call.session.multi.take() else { return Err("ERR EXEC without MULTI".into()) };
    let watched = std::mem::take(&mut call.session.watched);
    if queue.spoilt {
        return Err("EXECABORT Transaction discarded because of previous errors.".into());
    }
    refuse_all(call.server, &queue).map_err(|why| abort(call.session, &why))?;
    match queue.partition.or(watched.partition()) {
        Some(partition) => exec_in(call, partition, &queue, &watched),
        None => {
            call.out.array(queue.commands.len());
            run_all(call, &queue);
        }
    }
    Ok(())
}

/// Better not begun than refused half-way: what the store would refuse of a transaction, all of it is refused for.
fn refuse_all(server: &Server, queue: &Queue) -> Answer {
    let any = |flag| queue.commands.iter().any(|(command, _)| command.is(flag));
    let error = match server.store.unwritable() {
        Some(why) if any(WRITE) => OpError::Unwritable(why),
        _ if any(DENYOOM) && server.store.is_full() => OpError::OutOfMemory,
        _ => return Ok(()),
    };
    Err(Refusal(error.to_string().into()))
}

/// Compares what was watched and runs everything under one hold of the partition.
fn exec_in(call: &mut Call<'_>, partition: u16, queue: &Queue, watched: &Watched) {
    let (command, args, server) = (call.command, call.args, call.server);
    let (session, out) = (&mut *call.session, &mut *call.out);
    let ((), mark) = server.store.transact(partition, |transaction| {
        if !watched.unchanged(|key| transaction.fingerprint(key)) {
            out.null_array();
            return;
        }
        out.array(queue.commands.len());
        let mut held = Held { partition, transaction };
        run_all(&mut Call { command, args, session, server, out, transaction: Some(&mut held) }, queue);
    });
    if let Some(mark) = mark {
        call.wrote(mark, |touched| touched.push(Touched::Partition(partition)));
    }
}

fn run_all(call: &mut Call<'_>, queue: &Queue) {
    for (command, args) in &queue.commands {
        let before = call.out.len();
        let answer = match command.handler {
            Some(handler) => handler(&mut Call {
                command,
                args,
                session: call.session,
                server: call.server,
                out: call.out,
                transaction: call.transaction.as_mut().map(|held| &mut **held as _),
            }),
            None => Err(Refusal::arity(command.name)),
        };
        if let Err(refusal) = answer {
            call.session.errors += 1;
            call.out.truncate(before);
            call.out.error(&refusal.0);
        }
    }
}

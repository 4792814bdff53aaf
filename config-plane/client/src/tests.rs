//! The client against a real server of its own: axum over TLS and HTTP/2 on a port of the loopback.

mod apps;
mod calls;
mod events;
mod frames;
mod objects;
mod plane;
mod server;

use std::time::Duration;

use crate::{CallError, ClientError, Endpoint, api::Follow, frame, rounds::Rounds};

fn endpoint(n: u8) -> Endpoint {
    Endpoint { name: None, addr: ([127, 0, 0, n], 9700).into() }
}

fn unreachable(n: u8) -> CallError {
    CallError::Unreachable { endpoint: endpoint(n), why: "refused".into() }
}

fn late(n: u8) -> CallError {
    CallError::Timeout { endpoint: endpoint(n), within: Duration::from_secs(1) }
}

fn no_leader() -> ClientError {
    ClientError::NotLeader { leader: None, message: "election".into() }
}

#[test]
fn a_round_visits_every_endpoint_and_ends_when_nobody_is_there() {
    let mut rounds = Rounds::new(3, 1, true);
    for (turn, over) in [(1, false), (2, false), (0, true)] {
        assert_eq!(rounds.turn(), turn);
        rounds.no_answer(unreachable(1));
        assert_eq!(rounds.next(None), over);
    }
    assert!(rounds.nobody_is_there());
    assert!(matches!(rounds.give_up(), ClientError::Unreachable { tried } if tried.len() == 3));
}

#[test]
fn an_election_is_waited_for_even_if_the_other_members_are_dead() {
    let mut rounds = Rounds::new(2, 0, true);
    for _ in 0..10 {
        rounds.not_now(no_leader());
        rounds.next(None);
        rounds.no_answer(unreachable(2));
        assert!(rounds.next(None));
        assert!(!rounds.nobody_is_there());
    }
    let ClientError::NotLeader { leader: None, message } = rounds.give_up() else { panic!("nothing happened") };
    assert_eq!(
        message,
        "the plane has no quorum: 1 of 2 members can be reached; nothing was changed; bring regions back, `atoll status` \
         shows which"
    );
}

#[test]
fn a_change_that_was_not_made_is_sent_again_only_with_time_for_a_whole_attempt() {
    let (attempt, overall) = (Duration::from_secs(3), Duration::from_secs(10));
    for (changes, remaining_ms, may) in
        [(true, 3000, true), (true, 2999, false), (true, 1, false), (false, 1, true), (false, 0, false)]
    {
        let mut rounds = Rounds::new(1, 0, changes);
        let remaining = Duration::from_millis(remaining_ms);
        assert_eq!(rounds.may_ask(remaining, attempt, overall), remaining_ms > 0, "the first attempt is always made");
        rounds.not_now(no_leader());
        assert_eq!(rounds.may_ask(remaining, attempt, overall), may, "{changes} {remaining_ms} ms");
        rounds.no_answer(late(1));
        assert!(remaining.is_zero() || rounds.may_ask(remaining, attempt, overall), "there is doubt already");
    }
}

#[test]
fn what_stopped_a_change_is_said_once_and_without_contradiction() {
    let said = |tell: &dyn Fn(&mut Rounds)| {
        let mut rounds = Rounds::new(3, 0, true);
        for _ in 0..4 {
            tell(&mut rounds);
            rounds.next(None);
        }
        rounds.give_up().to_string()
    };
    let lost = said(&|rounds| drop(rounds.no_answer(unreachable(1 + rounds.turn() as u8))));
    assert_eq!(lost.matches("127.0.0.1:9700").count(), 1, "{lost}");
    let doubtful = said(&|rounds| match rounds.turn() {
        0 => drop(rounds.no_answer(late(1))),
        _ => drop(rounds.not_now(no_leader())),
    });
    assert_eq!(
        doubtful,
        "no answer from 127.0.0.1:9700 within 1000 ms; the change may have been made all the same: look with `atoll status`"
    );
    let electing = said(&|rounds| drop(rounds.not_now(no_leader())));
    assert_eq!(electing, "election; nothing was changed; bring regions back, `atoll status` shows which");
    let elsewhere = ClientError::NotLeader { leader: Some("us-east".parse().unwrap()), message: "?".into() };
    let led = said(&|rounds| drop(rounds.not_now(elsewhere.clone())));
    assert_eq!(led, "us-east leads the plane, but did not take the change; nothing was changed; ask again");
}

#[test]
fn a_change_that_may_have_been_made_is_not_forgotten_over_later_answers() {
    for changes in [true, false] {
        let mut rounds = Rounds::new(1, 0, changes);
        rounds.no_answer(late(1));
        rounds.next(None);
        rounds.not_now(no_leader());
        rounds.next(None);
        let maybe_done = matches!(rounds.give_up(), ClientError::Timeout { maybe_done: true, .. });
        assert_eq!(maybe_done, changes);
    }
}

#[test]
fn the_leader_is_asked_next_unless_it_is_the_one_that_declined() {
    let mut rounds = Rounds::new(3, 0, false);
    rounds.next(Some(2));
    assert_eq!(rounds.turn(), 2);
    rounds.next(Some(2));
    assert_eq!(rounds.turn(), 0);
}

fn alive(leader: Option<&str>) -> Follow {
    let leader = leader.map(|name| name.parse().unwrap());
    Follow::Alive { plan: None, sum: None, quorum_age_ms: Some(7), leader, load_permille: Default::default() }
}

#[test]
fn messages_come_out_as_they_went_in_however_the_bytes_are_cut() {
    let sent = [alive(None), alive(Some("eu-west")), alive(Some("us-east"))];
    let bytes: Vec<u8> = sent.iter().flat_map(|m| frame::encode(m).unwrap()).collect();
    for size in 1..bytes.len() {
        let mut decoder = frame::Decoder::default();
        let mut got = vec![];
        for chunk in bytes.chunks(size) {
            decoder.push(chunk);
            while let Some(message) = decoder.take().unwrap() {
                got.push(message);
            }
        }
        assert_eq!(got, sent, "in pieces of {size}");
    }
}

#[test]
fn a_message_that_is_not_understood_costs_only_itself_and_an_oversized_one_is_never_held() {
    let mut decoder = frame::Decoder::default();
    decoder.push(&[0, 0, 0, 3]);
    decoder.push(b"???");
    decoder.push(&frame::encode(&alive(None)).unwrap());
    assert!(matches!(decoder.take(), Err(frame::FrameError::Undecodable(_))));
    assert_eq!(decoder.take(), Ok(Some(alive(None))));
    decoder.push(&u32::MAX.to_be_bytes());
    assert_eq!(decoder.take(), Err(frame::FrameError::TooLong(u32::MAX as usize)));
}

#[test]
fn endpoints_are_read_in_three_forms() {
    let plain: Endpoint = "127.0.1.1:9700".parse().unwrap();
    assert_eq!("https://127.0.1.1:9700/".parse(), Ok(plain.clone()));
    let named: Endpoint = "eu-west=127.0.1.1:9700".parse().unwrap();
    assert_eq!((named.name.unwrap().as_str(), named.addr), ("eu-west", plain.addr));
    for wrong in ["", "eu-west", "EU=127.0.1.1:9700", "http://127.0.1.1:9700", "127.0.1.1"] {
        assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
    }
}

//! Answers as tables: which records, for whom, for how long.

use expect_test::{Expect, expect};
use model::{OverrideAction, Plan};

use super::world::*;
use crate::View;

/// Asks one view several questions, one a line.
fn check_view(view: &View, questions: &str, want: &Expect) {
    let mut got = String::new();
    for question in questions.lines().map(str::trim).filter(|q| !q.is_empty()) {
        got += &format!("> {question}\n{}", show(&ask(view, question).1));
    }
    want.assert_eq(&got);
}

fn check(questions: &str, want: &Expect) {
    check_view(&view(&plan()), questions, want);
}

fn changed(change: impl FnOnce(&mut Plan)) -> View {
    let mut plan = plan();
    change(&mut plan);
    view(&plan)
}

#[test]
fn static_names_are_answered_as_written() {
    check(
        "ns1.shop.test A
         ns2.shop.test A
         shop.test SOA
         shop.test NS
         shop.test TXT
         static.shop.test AAAA
         empty.shop.test TXT
         big.shop.test TXT tcp",
        &expect![[r#"
            > ns1.shop.test A
            No Error aa
            ns1.shop.test. 300 A 192.0.2.1
            > ns2.shop.test A
            No Error aa
            ns2.shop.test. 60 A 192.0.2.2
            ns2.shop.test. 60 A 192.0.2.3
            > shop.test SOA
            No Error aa
            shop.test. 300 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > shop.test NS
            No Error aa
            shop.test. 300 NS ns1.shop.test.
            shop.test. 300 NS ns2.shop.test.
            > shop.test TXT
            No Error aa
            shop.test. 300 TXT v=spf1 -all
            > static.shop.test AAAA
            No Error aa
            static.shop.test. 300 AAAA 2001:db8::80
            > empty.shop.test TXT
            No Error aa
            empty.shop.test. 300 TXT 
            > big.shop.test TXT tcp
            No Error aa
            big.shop.test. 300 TXT (700 characters)
        "#]],
    );
}

#[test]
fn what_is_not_there_is_denied_with_the_soa() {
    check(
        "missing.shop.test A
         a.missing.shop.test TXT
         ns1.shop.test AAAA
         ns1.shop.test HTTPS
         www.shop.test TXT
         b.c.shop.test A
         c.shop.test ANY
         x.b.c.shop.test A
         missing.in.shop.test A",
        &expect![[r#"
            > missing.shop.test A
            Non-Existent Domain aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > a.missing.shop.test TXT
            Non-Existent Domain aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > ns1.shop.test AAAA
            No Error aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > ns1.shop.test HTTPS
            No Error aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > www.shop.test TXT
            No Error aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > b.c.shop.test A
            No Error aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > c.shop.test ANY
            No Error aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > x.b.c.shop.test A
            Non-Existent Domain aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > missing.in.shop.test A
            Non-Existent Domain aa
            authority in.shop.test. 30 SOA ns1.in.shop.test. hostmaster.in.shop.test. 42 3600 600 1209600 30
        "#]],
    );
}

#[test]
fn other_peoples_names_are_refused() {
    check(
        "example.com A
         test A
         . NS
         xshop.test A
         shop.test.example A
         shop.test AXFR
         shop.test IXFR",
        &expect![[r#"
            > example.com A
            Query Refused
            > test A
            Query Refused
            > . NS
            Query Refused
            > xshop.test A
            Query Refused
            > shop.test.example A
            Query Refused
            > shop.test AXFR
            Query Refused
            > shop.test IXFR
            Query Refused
        "#]],
    );
}

#[test]
fn wildcards_speak_for_names_that_do_not_exist() {
    check(
        "x.wild.shop.test TXT
         x.y.wild.shop.test TXT
         *.wild.shop.test TXT
         x.wild.shop.test A
         wild.shop.test TXT
         host.wild.shop.test A
         host.wild.shop.test TXT
         x.host.wild.shop.test TXT
         x.alias.shop.test A @3.0.0.1
         blog.apps.shop.test A @5.1.1.1",
        &expect![[r#"
            > x.wild.shop.test TXT
            No Error aa
            x.wild.shop.test. 300 TXT any
            > x.y.wild.shop.test TXT
            No Error aa
            x.y.wild.shop.test. 300 TXT any
            > *.wild.shop.test TXT
            No Error aa
            *.wild.shop.test. 300 TXT any
            > x.wild.shop.test A
            No Error aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > wild.shop.test TXT
            No Error aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > host.wild.shop.test A
            No Error aa
            host.wild.shop.test. 300 A 192.0.2.9
            > host.wild.shop.test TXT
            No Error aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > x.host.wild.shop.test TXT
            Non-Existent Domain aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > x.alias.shop.test A @3.0.0.1
            No Error aa
            x.alias.shop.test. 300 CNAME www.shop.test.
            www.shop.test. 2 A 198.51.100.1
            > blog.apps.shop.test A @5.1.1.1
            No Error aa
            blog.apps.shop.test. 2 A 198.51.100.2
        "#]],
    );
}

#[test]
fn aliases_are_followed_inside_the_zone() {
    check(
        "store.shop.test A @5.1.1.1
         chain.shop.test A @5.1.1.1
         chain.shop.test CNAME
         chain.shop.test TXT
         out.shop.test A
         nowhere.shop.test A
         loop.shop.test A",
        &expect![[r#"
            > store.shop.test A @5.1.1.1
            No Error aa
            store.shop.test. 300 CNAME www.shop.test.
            www.shop.test. 2 A 198.51.100.2
            > chain.shop.test A @5.1.1.1
            No Error aa
            chain.shop.test. 300 CNAME store.shop.test.
            store.shop.test. 300 CNAME www.shop.test.
            www.shop.test. 2 A 198.51.100.2
            > chain.shop.test CNAME
            No Error aa
            chain.shop.test. 300 CNAME store.shop.test.
            > chain.shop.test TXT
            No Error aa
            chain.shop.test. 300 CNAME store.shop.test.
            store.shop.test. 300 CNAME www.shop.test.
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > out.shop.test A
            No Error aa
            out.shop.test. 300 CNAME cdn.example.net.
            > nowhere.shop.test A
            Non-Existent Domain aa
            nowhere.shop.test. 300 CNAME missing.shop.test.
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            > loop.shop.test A
            No Error aa
            loop.shop.test. 300 CNAME loop.shop.test.
        "#]],
    );
}

#[test]
fn any_is_answered_in_one_record() {
    check(
        "www.shop.test ANY
         store.shop.test ANY
         x.wild.shop.test ANY
         missing.shop.test ANY",
        &expect![[r#"
            > www.shop.test ANY
            No Error aa
            www.shop.test. 300 HINFO RFC8482 
            > store.shop.test ANY
            No Error aa
            store.shop.test. 300 CNAME www.shop.test.
            > x.wild.shop.test ANY
            No Error aa
            x.wild.shop.test. 300 HINFO RFC8482 
            > missing.shop.test ANY
            Non-Existent Domain aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
        "#]],
    );
}

#[test]
fn the_innermost_zone_answers() {
    check(
        "www.in.shop.test TXT
         in.shop.test SOA",
        &expect![[r#"
            > www.in.shop.test TXT
            No Error aa
            www.in.shop.test. 300 TXT inner
            > in.shop.test SOA
            No Error aa
            in.shop.test. 300 SOA ns1.in.shop.test. hostmaster.in.shop.test. 42 3600 600 1209600 30
        "#]],
    );
}

#[test]
fn nearest_goes_by_the_clients_place() {
    check(
        "www.shop.test A @5.1.1.1
         www.shop.test A @3.1.1.1
         www.shop.test A @49.1.1.1
         www.shop.test A @127.0.0.1
         www.shop.test AAAA @2a00::1
         www.shop.test AAAA @2600::1
         www.shop.test AAAA @49.1.1.1
         shop.test A @2a00::1
         two.shop.test A @49.1.1.1
         all.shop.test A @3.1.1.1
         all.shop.test AAAA @3.1.1.1",
        &expect![[r#"
            > www.shop.test A @5.1.1.1
            No Error aa
            www.shop.test. 2 A 198.51.100.2
            > www.shop.test A @3.1.1.1
            No Error aa
            www.shop.test. 2 A 198.51.100.1
            > www.shop.test A @49.1.1.1
            No Error aa
            www.shop.test. 2 A 198.51.100.3
            > www.shop.test A @127.0.0.1
            No Error aa
            www.shop.test. 2 A 198.51.100.1
            > www.shop.test AAAA @2a00::1
            No Error aa
            www.shop.test. 2 AAAA 2001:db8:2::1
            > www.shop.test AAAA @2600::1
            No Error aa
            www.shop.test. 2 AAAA 2001:db8:1::1
            > www.shop.test AAAA @49.1.1.1
            No Error aa
            www.shop.test. 2 AAAA 2001:db8:2::1
            > shop.test A @2a00::1
            No Error aa
            shop.test. 2 A 198.51.100.2
            > two.shop.test A @49.1.1.1
            No Error aa
            two.shop.test. 2 A 198.51.100.3
            two.shop.test. 2 A 198.51.100.2
            > all.shop.test A @3.1.1.1
            No Error aa
            all.shop.test. 2 A 198.51.100.1
            all.shop.test. 2 A 198.51.100.2
            all.shop.test. 2 A 198.51.100.3
            > all.shop.test AAAA @3.1.1.1
            No Error aa
            all.shop.test. 2 AAAA 2001:db8:1::1
            all.shop.test. 2 AAAA 2001:db8:2::1
        "#]],
    );
}

#[test]
fn who_is_nowhere_is_at_the_server_it_reached() {
    let plan = plan();
    for (server, want) in [
        (
            "us-east",
            expect![[r#"
            > all.shop.test A @10.0.0.1
            No Error aa
            all.shop.test. 2 A 198.51.100.1
            all.shop.test. 2 A 198.51.100.2
            all.shop.test. 2 A 198.51.100.3
        "#]],
        ),
        (
            "eu-west",
            expect![[r#"
            > all.shop.test A @10.0.0.1
            No Error aa
            all.shop.test. 2 A 198.51.100.2
            all.shop.test. 2 A 198.51.100.1
            all.shop.test. 2 A 198.51.100.3
        "#]],
        ),
        (
            "ap-south",
            expect![[r#"
            > all.shop.test A @10.0.0.1
            No Error aa
            all.shop.test. 2 A 198.51.100.3
            all.shop.test. 2 A 198.51.100.2
            all.shop.test. 2 A 198.51.100.1
        "#]],
        ),
        (
            "unknown",
            expect![[r#"
            > all.shop.test A @10.0.0.1
            No Error aa
            all.shop.test. 2 A 198.51.100.1
            all.shop.test. 2 A 198.51.100.2
            all.shop.test. 2 A 198.51.100.3
        "#]],
        ),
    ] {
        check_view(&view_with(&plan, server, ""), "all.shop.test A @10.0.0.1", &want);
    }
}

#[test]
fn a_client_subnet_counts_more_than_the_source() {
    check(
        "www.shop.test A @3.1.1.1 ecs=5.1.2.0/24
         www.shop.test A @3.1.1.1 ecs=2a00::/48
         www.shop.test A @3.1.1.1 ecs=0.0.0.0/0
         www.shop.test A @3.1.1.1 ecs=10.1.0.0/16
         fo.shop.test A @3.1.1.1 ecs=5.1.2.0/24
         ns1.shop.test A @3.1.1.1 ecs=5.1.2.0/24
         missing.shop.test A ecs=5.1.2.0/24
         store.shop.test A ecs=49.1.1.1/32
         www.shop.test AAAA ecs=::ffff:5.1.1.1/128",
        &expect![[r#"
            > www.shop.test A @3.1.1.1 ecs=5.1.2.0/24
            No Error aa
            www.shop.test. 2 A 198.51.100.2
            edns 1232 ecs=5.1.2.0/24 scope /8
            > www.shop.test A @3.1.1.1 ecs=2a00::/48
            No Error aa
            www.shop.test. 2 A 198.51.100.2
            edns 1232 ecs=2a00::/48 scope /16
            > www.shop.test A @3.1.1.1 ecs=0.0.0.0/0
            No Error aa
            www.shop.test. 2 A 198.51.100.1
            edns 1232 ecs=0.0.0.0/0 scope /0
            > www.shop.test A @3.1.1.1 ecs=10.1.0.0/16
            No Error aa
            www.shop.test. 2 A 198.51.100.1
            edns 1232 ecs=10.1.0.0/16 scope /5
            > fo.shop.test A @3.1.1.1 ecs=5.1.2.0/24
            No Error aa
            fo.shop.test. 2 A 198.51.100.2
            edns 1232 ecs=5.1.2.0/24 scope /0
            > ns1.shop.test A @3.1.1.1 ecs=5.1.2.0/24
            No Error aa
            ns1.shop.test. 300 A 192.0.2.1
            edns 1232 ecs=5.1.2.0/24 scope /0
            > missing.shop.test A ecs=5.1.2.0/24
            Non-Existent Domain aa
            authority shop.test. 30 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
            edns 1232 ecs=5.1.2.0/24 scope /0
            > store.shop.test A ecs=49.1.1.1/32
            No Error aa
            store.shop.test. 300 CNAME www.shop.test.
            www.shop.test. 2 A 198.51.100.3
            edns 1232 ecs=49.1.1.1/32 scope /8
            > www.shop.test AAAA ecs=::ffff:5.1.1.1/128
            No Error aa
            www.shop.test. 2 AAAA 2001:db8:2::1
            edns 1232 ecs=::ffff:5.1.1.1/128 scope /104
        "#]],
    );
}

#[test]
fn a_member_that_is_down_is_passed_over() {
    check_view(
        &changed(|plan| down(plan, "eu-west")),
        "www.shop.test A @5.1.1.1
         www.shop.test AAAA @5.1.1.1
         www.shop.test A @3.1.1.1
         all.shop.test A @5.1.1.1
         two.shop.test A @5.1.1.1
         fo.shop.test A
         free.shop.test A @5.1.1.1
         www.shop.test A ecs=5.1.2.0/24",
        &expect![[r#"
            > www.shop.test A @5.1.1.1
            No Error aa
            www.shop.test. 2 A 198.51.100.3
            > www.shop.test AAAA @5.1.1.1
            No Error aa
            www.shop.test. 2 AAAA 2001:db8:1::1
            > www.shop.test A @3.1.1.1
            No Error aa
            www.shop.test. 2 A 198.51.100.1
            > all.shop.test A @5.1.1.1
            No Error aa
            all.shop.test. 2 A 198.51.100.3
            all.shop.test. 2 A 198.51.100.1
            > two.shop.test A @5.1.1.1
            No Error aa
            two.shop.test. 2 A 198.51.100.3
            two.shop.test. 2 A 198.51.100.1
            > fo.shop.test A
            No Error aa
            fo.shop.test. 2 A 198.51.100.1
            > free.shop.test A @5.1.1.1
            No Error aa
            free.shop.test. 30 A 198.51.100.2
            > www.shop.test A ecs=5.1.2.0/24
            No Error aa
            www.shop.test. 2 A 198.51.100.3
            edns 1232 ecs=5.1.2.0/24 scope /9
        "#]],
    );
}

#[test]
fn failover_keeps_the_written_order() {
    check(
        "fo.shop.test A @49.1.1.1",
        &expect![[r#"
        > fo.shop.test A @49.1.1.1
        No Error aa
        fo.shop.test. 2 A 198.51.100.2
    "#]],
    );
    check_view(
        &changed(|p| down(p, "eu-west")),
        "fo.shop.test A",
        &expect![[r#"
        > fo.shop.test A
        No Error aa
        fo.shop.test. 2 A 198.51.100.1
    "#]],
    );
    check_view(
        &changed(|p| down(p, "eu-west us-east")),
        "fo.shop.test A\nfo.shop.test AAAA",
        &expect![[r#"
        > fo.shop.test A
        No Error aa
        fo.shop.test. 2 A 198.51.100.3
        > fo.shop.test AAAA
        No Error aa
        fo.shop.test. 5 AAAA 2001:db8:2::1
    "#]],
    );
}

#[test]
fn families_are_judged_apart() {
    // Only ap-south lives, and it has no IPv6: A names it, AAAA fails open.
    check_view(
        &changed(|plan| down(plan, "us-east eu-west")),
        "www.shop.test A @5.1.1.1
         www.shop.test AAAA @5.1.1.1
         closed.shop.test A @5.1.1.1
         closed.shop.test AAAA @5.1.1.1",
        &expect![[r#"
            > www.shop.test A @5.1.1.1
            No Error aa
            www.shop.test. 2 A 198.51.100.3
            > www.shop.test AAAA @5.1.1.1
            No Error aa
            www.shop.test. 5 AAAA 2001:db8:2::1
            > closed.shop.test A @5.1.1.1
            No Error aa
            closed.shop.test. 2 A 198.51.100.3
            > closed.shop.test AAAA @5.1.1.1
            No Error aa
            authority shop.test. 5 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
        "#]],
    );
}

#[test]
fn all_down_fails_open_unless_told_otherwise() {
    check_view(
        &changed(|plan| down(plan, "us-east eu-west ap-south")),
        "www.shop.test A @5.1.1.1
         all.shop.test A @5.1.1.1
         fo.shop.test A
         closed.shop.test A",
        &expect![[r#"
            > www.shop.test A @5.1.1.1
            No Error aa
            www.shop.test. 5 A 198.51.100.2
            > all.shop.test A @5.1.1.1
            No Error aa
            all.shop.test. 5 A 198.51.100.2
            all.shop.test. 5 A 198.51.100.3
            all.shop.test. 5 A 198.51.100.1
            > fo.shop.test A
            No Error aa
            fo.shop.test. 5 A 198.51.100.2
            > closed.shop.test A
            No Error aa
            authority shop.test. 5 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
        "#]],
    );
}

#[test]
fn a_humans_word_beats_verdict_and_probes() {
    let view = changed(|plan| {
        down(plan, "us-east");
        set_override(plan, "us-east", OverrideAction::Up);
        set_override(plan, "eu-west", OverrideAction::Down);
    });
    check_view(
        &view,
        "all.shop.test A\nwww.shop.test A @5.1.1.1\nfree.shop.test A @5.1.1.1",
        &expect![[r#"
        > all.shop.test A
        No Error aa
        all.shop.test. 2 A 198.51.100.1
        all.shop.test. 2 A 198.51.100.3
        > www.shop.test A @5.1.1.1
        No Error aa
        www.shop.test. 2 A 198.51.100.3
        > free.shop.test A @5.1.1.1
        No Error aa
        free.shop.test. 30 A 198.51.100.3
    "#]],
    );
}

#[test]
fn local_demotion_leaves_out_but_never_empties() {
    let mut plan = plan();
    let questions = "all.shop.test A\nwww.shop.test A @5.1.1.1";
    check_view(
        &view_with(&plan, "us-east", "eu-west"),
        questions,
        &expect![[r#"
        > all.shop.test A
        No Error aa
        all.shop.test. 2 A 198.51.100.1
        all.shop.test. 2 A 198.51.100.3
        > www.shop.test A @5.1.1.1
        No Error aa
        www.shop.test. 2 A 198.51.100.3
    "#]],
    );
    check_view(
        &view_with(&plan, "us-east", "us-east eu-west ap-south"),
        questions,
        &expect![[r#"
        > all.shop.test A
        No Error aa
        all.shop.test. 5 A 198.51.100.1
        all.shop.test. 5 A 198.51.100.2
        all.shop.test. 5 A 198.51.100.3
        > www.shop.test A @5.1.1.1
        No Error aa
        www.shop.test. 5 A 198.51.100.2
    "#]],
    );
    // Never promotes: who is down by the Plan stays out, even if all others are demoted.
    down(&mut plan, "us-east");
    check_view(
        &view_with(&plan, "us-east", "eu-west ap-south"),
        questions,
        &expect![[r#"
        > all.shop.test A
        No Error aa
        all.shop.test. 5 A 198.51.100.2
        all.shop.test. 5 A 198.51.100.3
        > www.shop.test A @5.1.1.1
        No Error aa
        www.shop.test. 5 A 198.51.100.2
    "#]],
    );
    // A human's word beats the server's own eyes.
    set_override(&mut plan, "eu-west", OverrideAction::Up);
    check_view(
        &view_with(&plan, "us-east", "eu-west"),
        questions,
        &expect![[r#"
        > all.shop.test A
        No Error aa
        all.shop.test. 2 A 198.51.100.2
        all.shop.test. 2 A 198.51.100.3
        > www.shop.test A @5.1.1.1
        No Error aa
        www.shop.test. 30 A 198.51.100.2
    "#]],
    );
}

#[test]
fn ttls_follow_what_could_change_and_the_names_limits() {
    let plan_with = |regions: &str| {
        let mut plan = plan();
        down(&mut plan, regions);
        view(&plan)
    };
    // Up: 3 × 500 ms → 2 s. Down and passed over: the same, since the one named may change first. All down: 10 × 500 ms.
    let check = |regions: &str, name: &str, want: u32| {
        let view = plan_with(regions);
        let (_, packet) = ask(&view, &format!("{name}.shop.test A @5.1.1.1"));
        let message = hickory_proto::op::Message::from_vec(&packet).unwrap();
        let record = message.answers.first().or(message.authorities.first()).unwrap();
        assert_eq!(record.ttl, want, "{name} with {regions} down");
    };
    check("", "www", 2);
    check("eu-west", "www", 2);
    check("us-east eu-west ap-south", "www", 5);
    check("us-east eu-west ap-south", "closed", 5);
    check("", "slow", 20);
    check("us-east eu-west ap-south", "slow", 20);
    check("", "quick", 1);
    check("", "free", 30);
    check("eu-west", "free", 30);
}

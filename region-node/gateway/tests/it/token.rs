//! The token cookie on real requests.

use std::{sync::Arc, time::Duration};

use http::Response;
use tokio::time::Instant;

use crate::support::{TestWorker, World, text, until, worker};

/// A worker that writes when the path says so and answers with the header given in the query.
async fn writing_worker(world: &World) -> TestWorker {
    let state = Arc::clone(&world.state);
    let shop = worker(move |request| {
        let state = Arc::clone(&state);
        async move {
            if request.uri().path() == "/write" {
                state.write();
            }
            let mut response: Response<_> = text("done");
            if let Some(cache) = request.uri().query() {
                response.headers_mut().insert("cache-control", cache.parse().unwrap());
            }
            response
        }
    })
    .await;
    world.set_workers(&[shop.address]);
    shop
}

#[tokio::test]
async fn a_write_sets_the_cookie_and_a_read_does_not() {
    let world = World::start().await;
    let _shop = writing_worker(&world).await;
    assert_eq!(world.get("/read", &[]).await.header("set-cookie"), None);
    let answer = world.get("/write", &[]).await;
    assert_eq!(answer.header("set-cookie"), Some("atoll-token=1.65; Path=/; HttpOnly; SameSite=Lax"));
    assert_eq!(world.get("/write?public", &[]).await.header("set-cookie"), None);
    assert_eq!(world.get("/write?private,max-age=9", &[]).await.header("set-cookie").map(|_| ()), Some(()));
}

#[tokio::test]
async fn a_request_from_another_region_waits_for_what_it_has_seen() {
    let world = World::with(|limits| limits.token_wait = Duration::from_secs(20)).await;
    let _shop = writing_worker(&world).await;
    let (answer, ()) = tokio::join!(world.get("/read", &[("cookie", "atoll-token=2.ff")]), async {
        until("the request waits", || world.metric("token_waits_total") > 0.0).await;
        world.state.seen.send_replace(0xff);
    });
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-atoll-stale"), None);
    assert_eq!(world.metric("token_stale_total"), 0.0);
}

#[tokio::test]
async fn what_is_not_reached_in_time_is_served_as_stale() {
    let world = World::with(|limits| limits.token_wait = Duration::from_millis(150)).await;
    let _shop = writing_worker(&world).await;
    let started = Instant::now();
    let answer = world.get("/read", &[("cookie", "theme=dark; atoll-token=3.ff")]).await;
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert_eq!((answer.status.as_u16(), answer.header("x-atoll-stale")), (200, Some("ap-south")));
    assert_eq!(answer.header("set-cookie"), None, "the next region must still wait for the old token");
    assert_eq!(world.metric("token_stale_total"), 1.0);
}

#[tokio::test]
async fn nobody_waits_for_the_own_region_for_nonsense_or_in_vain() {
    let world = World::with(|limits| limits.token_wait = Duration::from_secs(600)).await;
    let _shop = writing_worker(&world).await;
    for (cookie, stale) in [
        ("atoll-token=1.ffffffffffffffff", None),
        ("atoll-token=banana", None),
        ("atoll-token=", None),
        ("atoll-token=9.1", Some("9")),
    ] {
        let answer = world.get("/read", &[("cookie", cookie)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-atoll-stale")), (200, stale), "{cookie}");
    }
}

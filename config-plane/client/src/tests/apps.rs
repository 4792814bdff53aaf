//! Answers that come line by line, in whatever pieces.

use axum::{Router, body::Body, routing::post};
use http_body_util::channel::Channel;

use super::server::TestWorld;
use crate::{
    ClientError, PlaneClient,
    api::apps::{AppVerb, ChangeApp, ChangeEvent},
};

/// A region whose change of an app is told in these pieces.
async fn told(pieces: &[&'static str]) -> Result<Vec<ChangeEvent>, ClientError> {
    let world = TestWorld::new();
    let pieces = pieces.to_vec();
    let answer = move || {
        let pieces = pieces.clone();
        async move {
            let (mut out, body) = Channel::<bytes::Bytes>::new(1);
            tokio::spawn(async move {
                for piece in pieces {
                    // The reader may have seen enough.
                    let _ = out.send_data(piece.into()).await;
                }
            });
            Body::new(body)
        }
    };
    let server = world.serve("eu-west", Router::new().route("/v1/apps/web/reload", post(answer))).await;
    let client = PlaneClient::over(world.transport("us-east"), vec![server.endpoint.clone()]);
    let mut lines = client.change_app("web", AppVerb::Reload, &ChangeApp::default()).await?;
    let mut events = Vec::new();
    while let Some(event) = lines.next().await? {
        events.push(event);
    }
    Ok(events)
}

#[tokio::test]
async fn lines_are_read_whole_whatever_pieces_they_come_in() {
    let note = |text: &str| ChangeEvent::Note { text: text.into() };
    let events = told(&[
        "{\"event\":\"note\",\"te",
        "xt\":\"a\"}\n{\"event\":\"alive\"}\n",
        "{\"event\":\"note\",\"text\":\"b\"}\n",
    ])
    .await;
    assert_eq!(events, Ok(vec![note("a"), ChangeEvent::Alive, note("b")]));
    let cut = told(&["{\"event\":\"alive\"}\n{\"event\":\"no"]).await;
    assert!(matches!(&cut, Err(ClientError::Protocol(why)) if why.contains("ends within a line")), "{cut:?}");
    let foreign = told(&["<html>\n"]).await;
    assert!(matches!(foreign, Err(ClientError::Protocol(_))), "{foreign:?}");
}

//! The workers of the app that takes what no other has named, as one list that stays while apps come and go: for a gateway that
//! knows one app.

use std::sync::Arc;

use model::Worker;
use tokio::sync::watch;

use super::{Publish, Published};

/// Someone to publish to, and the list that comes of it. The list ends when whoever publishes is gone.
pub(crate) fn front() -> (Publish, watch::Receiver<Arc<[Worker]>>) {
    let (published, mut chosen) = watch::channel(None);
    let (out, list) = watch::channel(Arc::from([]));
    tokio::spawn(async move {
        loop {
            let workers: Option<watch::Receiver<Arc<[Worker]>>> = chosen.borrow_and_update().clone();
            let changed = match workers {
                Some(mut workers) => {
                    out.send_replace(workers.borrow_and_update().clone());
                    tokio::select! {
                        changed = chosen.changed() => changed,
                        // An app that is gone says nothing more; the next list of apps tells what is instead.
                        Ok(()) = workers.changed() => Ok(()),
                    }
                }
                None => {
                    out.send_replace(Arc::from([]));
                    chosen.changed().await
                }
            };
            if changed.is_err() {
                return;
            }
        }
    });
    let publish = move |apps: Vec<Published>| {
        let first =
            apps.iter().find(|app| app.config.is_default()).or_else(|| apps.iter().find(|app| app.config.public));
        published.send_replace(first.map(|app| app.workers.clone()));
    };
    (Arc::new(publish), list)
}

#[cfg(test)]
mod tests {
    use app_config::App;

    use super::*;

    #[tokio::test]
    async fn the_list_is_that_of_the_app_which_takes_the_rest() {
        let worker = |id| Worker::ready_at(id, ([127, 0, 0, 1], 9000 + id).into());
        let app = |paths: &[&str], public| {
            let (out, workers) = watch::channel(Arc::from([]));
            let paths = paths.iter().map(|path| (*path).to_owned()).collect();
            (out, Published { config: Arc::new(App { paths, public, ..App::default() }), workers })
        };
        let (publish, mut list) = front();
        let ((_a, some), (rest, all), (_c, hidden)) = (app(&["/x"], true), app(&[], true), app(&[], false));
        publish(vec![hidden.clone(), some, all]);
        rest.send_replace(Arc::from([worker(1)]));
        let seen = list.wait_for(|list| list.len() == 1).await.expect("it lives")[0].id;
        assert_eq!(seen, 1);
        rest.send_replace(Arc::from([worker(1), worker(2)]));
        list.wait_for(|list| list.len() == 2).await.expect("it lives");
        publish(vec![hidden]);
        list.wait_for(|list| list.is_empty()).await.expect("it lives");
        drop(publish);
        assert!(list.changed().await.is_err());
    }
}

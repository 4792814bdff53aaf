//! Rows of a region's apps, which the region's own routes serve: one for each `AppRoute`, about the region that answers.

use plane_client::api::apps::{AppRoute, AppVerb};

use super::{Param, Route};

const LINES: Param = Param::maybe_number("lines", "So many that were written already, 0 to 100000; 20 if left out.");
const FOLLOW: Param = Param::maybe_number("follow", "`1`: and those to come; endless.");
const SLOT: Param = Param::maybe_number("slot", "Of the worker in this slot only.");

pub(super) fn rows() -> Vec<Route> {
    AppRoute::all().map(row).collect()
}

fn row(route: AppRoute) -> Route {
    let row = |about| Route::new(route.method(), route.path(), about);
    let change = |about| row(about).may_take("ChangeApp").gives_lines("ChangeEvent").fails(&[404, 413, 503]);
    match route {
        AppRoute::List => row("The apps of the region that answers.").gives("AppsReport").fails(&[404]),
        AppRoute::Describe => row("One of its apps, and how it is configured.").gives("AppDescription").fails(&[404]),
        AppRoute::Logs => row("Output of an app's workers, the oldest line first.")
            .gives_lines("AppLog")
            .param(LINES)
            .param(FOLLOW)
            .param(SLOT)
            .fails(&[404, 503]),
        AppRoute::ReloadAll => change("Makes every app what the file says now. Told as it goes on, the outcome last."),
        AppRoute::Change(AppVerb::Reload) => change(
            "Makes an app what the file says now, one worker after another. Told as it goes on, the outcome last.",
        ),
        AppRoute::Change(AppVerb::Restart) => change(
            "Replaces an app's workers one after another, as they are configured. Told as it goes on, the outcome last.",
        ),
        AppRoute::Change(AppVerb::Stop) => {
            change("Ends all workers of an app once their requests are done. Told as it goes on, the outcome last.")
        }
        AppRoute::Change(AppVerb::Start) => {
            change("Starts an app that was stopped. Told as it goes on, the outcome last.")
        }
        AppRoute::Change(AppVerb::Scale) => {
            change("Gives an app `instances` workers, until the next reload. Told as it goes on, the outcome last.")
                .takes("ScaleApp")
        }
        AppRoute::Change(AppVerb::Rollback) => {
            change("Runs the release before again. Told as it goes on, the outcome last.")
        }
    }
}

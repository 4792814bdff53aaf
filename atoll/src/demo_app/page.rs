//! The shop's page: one string, no assets from elsewhere. In: the state. Out: HTML in which every foreign word is escaped.

use std::fmt::Write as _;

use super::shop::{CATALOGUE, State};

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--sea:#0a7d8c}\
body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:0 auto;padding:1.5rem}\
header{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:baseline;justify-content:space-between}\
h1{margin:0;color:var(--sea)}h2{font-size:1.1rem;margin:2rem 0 .5rem}\
.region{background:var(--sea);color:#fff;border-radius:1rem;padding:.1rem .8rem}\
table{width:100%;border-collapse:collapse}td{padding:.4rem 0;border-bottom:1px solid var(--line)}\
td:nth-child(n+2){text-align:right}form{display:inline}\
button{font:inherit;padding:.15rem .8rem;border:1px solid var(--sea);border-radius:.4rem;background:none;color:inherit;cursor:pointer}\
button:hover{background:var(--sea);color:#fff}\
input{font:inherit;padding:.15rem .5rem;border:1px solid var(--line);border-radius:.4rem}\
.bar{background:var(--sea);height:.5rem;border-radius:.25rem;display:inline-block;vertical-align:middle}\
footer{margin-top:2rem;opacity:.7;font-size:.9rem}";

/// The whole page.
pub(super) fn shop(state: &State) -> String {
    let mut html = Html::begin("Lagoon Shop");
    html.write(format_args!(
        "<header><h1>Lagoon Shop</h1><span>served by <b class=region id=region>{}</b></span></header>",
        Escaped(&state.region)
    ));
    who(&mut html, state);
    shelves(&mut html);
    cart(&mut html, state);
    visits(&mut html, state);
    html.write(format_args!("<footer>worker {} of region {}</footer>", Escaped(&state.worker), Escaped(&state.region)));
    html.end()
}

/// What a visitor sees when a request failed.
pub(super) fn apology(words: &str) -> String {
    let mut html = Html::begin("Lagoon Shop");
    html.write(format_args!("<h1>Lagoon Shop</h1><p>{}</p><p><a href=/>Back to the shop</a></p>", Escaped(words)));
    html.end()
}

fn who(html: &mut Html, state: &State) {
    match &state.session {
        Some(session) => html.write(format_args!(
            "<p>Hello, <b id=user>{}</b>. You logged in at {}. <form method=post action=/logout><button>Log out</button></form></p>",
            Escaped(&session.user),
            Escaped(&session.region)
        )),
        None => html.write(format_args!(
            "<p><form method=post action=/login><input name=name placeholder='Your name' maxlength=40 required> \
             <button>Log in</button></form></p>"
        )),
    }
}

fn shelves(html: &mut Html) {
    html.write(format_args!("<h2>On the shelves</h2><table>"));
    for (item, name, cents) in CATALOGUE {
        html.write(format_args!(
            "<tr><td>{name}<td>{}<td><form method=post action=/cart/add><button name=item value={item}>Add</button></form>",
            Price(u64::from(cents))
        ));
    }
    html.write(format_args!("</table>"));
}

fn cart(html: &mut Html, state: &State) {
    html.write(format_args!("<h2>Your cart</h2>"));
    if state.cart.is_empty() {
        return html.write(format_args!("<p>Empty as a beach at dawn.</p>"));
    }
    html.write(format_args!("<table>"));
    let mut total = 0;
    for (item, count) in &state.cart {
        let (_, name, cents) = CATALOGUE.into_iter().find(|(known, _, _)| known == item).unwrap_or(("", item, 0));
        let sum = u64::from(cents).saturating_mul(u64::try_from(*count).unwrap_or(0));
        total = sum.saturating_add(total);
        html.write(format_args!(
            "<tr><td>{count} × {name}<td>{}<td><form method=post action=/cart/remove>\
             <button name=item value=\"{item}\">Remove</button></form>",
            Price(sum),
            name = Escaped(name),
            item = Escaped(item)
        ));
    }
    html.write(format_args!("<tr><td><b>Total</b><td><b>{}</b><td></table>", Price(total)));
}

fn visits(html: &mut Html, state: &State) {
    html.write(format_args!(
        "<h2><span id=visits>{}</span> visits, by the region that served them</h2><table>",
        state.visits
    ));
    let most = state.visits_by_region.values().copied().max().unwrap_or(1).max(1);
    for (region, count) in &state.visits_by_region {
        let percent = 100 * i128::from(*count).max(0) / i128::from(most);
        html.write(format_args!(
            "<tr><td>{}<td style='width:60%;text-align:left'><span class=bar style='width:{percent}%'></span><td>{count}",
            Escaped(region)
        ));
    }
    html.write(format_args!("</table>"));
}

struct Html(String);

impl Html {
    fn begin(title: &str) -> Self {
        Self(format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
             <title>{title}</title><style>{STYLE}</style>"
        ))
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.0.write_fmt(what);
    }

    fn end(mut self) -> String {
        self.0.push_str("</html>\n");
        self.0
    }
}

/// Cents as a price.
struct Price(u64);

impl std::fmt::Display for Price {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Foreign words inside HTML, also inside a quoted attribute.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo_app::shop::Session;

    #[test]
    fn foreign_words_stay_words() {
        let evil = "<script>alert('x')</script>".to_owned();
        let state = State {
            region: "eu-west".to_owned(),
            session: Some(Session { user: evil.clone(), region: evil.clone() }),
            cart: [(evil.clone(), 2)].into(),
            visits_by_region: [(evil, i64::MAX)].into(),
            ..State::default()
        };
        let html = shop(&state);
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{html}");
    }

    #[test]
    fn the_cart_adds_up() {
        let state = State { cart: [("coconut".to_owned(), 3), ("snorkel".to_owned(), 1)].into(), ..State::default() };
        let html = shop(&state);
        assert!(html.contains("<b>25.50</b>"), "{html}");
    }
}

//! Clients that come again with the cookie that they were given, as a browser and the gateway make it.

use traffic::StickyKey;

/// The cookies of all clients.
pub(crate) struct Cookies {
    key: StickyKey,
    values: Vec<Option<String>>,
}

impl Cookies {
    /// So many clients, of whom every tenth brings a cookie that nobody signed.
    pub(crate) fn of(clients: u64) -> Self {
        let forged = |client: u64| (client % 10 == 9).then(|| format!("{}.{}", client % 4, "0".repeat(32)));
        Self { key: StickyKey::new(b"the secret of all nodes", "shop"), values: (0..clients).map(forged).collect() }
    }

    /// The slot that a client's cookie names.
    pub(crate) fn slot(&self, client: usize) -> Option<u16> {
        self.key.decode(self.values.get(client)?.as_deref()?)
    }

    /// A client was answered from a slot: another one than its cookie names makes a new cookie.
    pub(crate) fn answered(&mut self, client: usize, slot: u16) {
        if self.slot(client) != Some(slot)
            && let Some(value) = self.values.get_mut(client)
        {
            *value = Some(self.key.encode(slot));
        }
    }
}

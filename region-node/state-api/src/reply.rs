//! The store's answers on the wire.

use replication_core::Reply;

use crate::resp::Writer;

impl Writer {
    /// Writes what the store answered.
    pub(crate) fn reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Ok => self.status("OK"),
            Reply::Nil => self.null(),
            Reply::Int(value) => self.int(*value),
            Reply::Bulk(value) => self.bulk(value),
            Reply::Status(word) => self.status(word),
            Reply::Array(items) => {
                self.array(items.len());
                items.iter().for_each(|item| self.reply(item));
            }
            Reply::Map(pairs) => {
                self.map(pairs.len());
                for (field, value) in pairs {
                    self.bulk(field);
                    self.bulk(value);
                }
            }
            Reply::Set(members) => {
                self.set(members.len());
                members.iter().for_each(|member| self.bulk(member));
            }
            Reply::Error(error) => self.error(&error.to_string()),
        }
    }
}

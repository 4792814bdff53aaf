//! The store's answers on the wire.

use bytes::Bytes;
use replication_core::{Reply, Score};

use crate::resp::{Protocol, Writer};

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
            Reply::Score(score) => self.score(score.0),
            Reply::Scored(rows) => self.scored(rows),
            Reply::Error(error) => self.error(&error.to_string()),
        }
    }

    /// Names with their values, where order or repetition counts: pairs in version 3, one flat list in version 2.
    pub(crate) fn pairs(&mut self, pairs: &[(Bytes, Bytes)]) {
        let flat = self.protocol() == Protocol::Resp2;
        self.array(if flat { pairs.len() * 2 } else { pairs.len() });
        for (name, value) in pairs {
            if !flat {
                self.array(2);
            }
            self.bulk(name);
            self.bulk(value);
        }
    }

    /// Members with their scores: pairs in version 3, one flat list in version 2.
    pub(crate) fn scored(&mut self, rows: &[(Bytes, Score)]) {
        let flat = self.protocol() == Protocol::Resp2;
        self.array(if flat { rows.len() * 2 } else { rows.len() });
        for (member, score) in rows {
            if !flat {
                self.array(2);
            }
            self.bulk(member);
            self.score(score.0);
        }
    }

    /// Members, with their scores if they were asked for.
    pub(crate) fn members(&mut self, rows: &[(Bytes, Score)], with_scores: bool) {
        if with_scores {
            self.scored(rows);
        } else {
            self.array(rows.len());
            rows.iter().for_each(|(member, _)| self.bulk(member));
        }
    }
}

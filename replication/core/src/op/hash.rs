//! Commands on hashes.

use bytes::Bytes;

use super::{ExpireIf, GetExpiry, SetExpiry, SetIf, TimeUnit, When};

/// What can be asked of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each variant is the Redis command of its name, without the H; the fields are its arguments"
)]
pub enum HashOp {
    Set {
        fields: Vec<(Bytes, Bytes)>,
    },
    SetNx {
        field: Bytes,
        value: Bytes,
    },
    Get {
        field: Bytes,
    },
    MGet {
        fields: Vec<Bytes>,
    },
    GetAll,
    Del {
        fields: Vec<Bytes>,
    },
    Exists {
        field: Bytes,
    },
    Len,
    Incr {
        field: Bytes,
        by: i64,
    },
    IncrByFloat {
        field: Bytes,
        by: Bytes,
    },
    /// A negative count may name a field twice. With values the answer is a map.
    RandField {
        count: Option<i64>,
        with_values: bool,
    },
    /// A page of fields: answers the next cursor (0 ends) and fields and values in turn.
    Scan {
        cursor: u64,
        count: usize,
    },
    /// HEXPIRE and its kin.
    Expire {
        when: When,
        condition: ExpireIf,
        fields: Vec<Bytes>,
    },
    /// HTTL, HPTTL; `absolute`: HEXPIRETIME, HPEXPIRETIME.
    Ttl {
        unit: TimeUnit,
        absolute: bool,
        fields: Vec<Bytes>,
    },
    Persist {
        fields: Vec<Bytes>,
    },
    GetDel {
        fields: Vec<Bytes>,
    },
    GetEx {
        expiry: GetExpiry,
        fields: Vec<Bytes>,
    },
    /// `Absent`: only if none of the fields is there; `Present`: only if all are.
    SetEx {
        fields: Vec<(Bytes, Bytes)>,
        expiry: SetExpiry,
        condition: SetIf,
    },
}

impl HashOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Get { .. } | Self::MGet { .. } | Self::GetAll | Self::Exists { .. } | Self::Len => false,
            Self::RandField { .. } | Self::Scan { .. } | Self::Ttl { .. } => false,
            Self::Set { .. } | Self::SetNx { .. } | Self::Del { .. } | Self::Incr { .. } => true,
            Self::IncrByFloat { .. } | Self::Expire { .. } | Self::Persist { .. } => true,
            Self::GetDel { .. } | Self::GetEx { .. } | Self::SetEx { .. } => true,
        }
    }

    /// Of those that write: whether it adds no field.
    pub(super) fn keeps_size(&self) -> bool {
        let deadlines = matches!(self, Self::Expire { .. } | Self::Persist { .. } | Self::GetEx { .. });
        deadlines || matches!(self, Self::Del { .. } | Self::GetDel { .. })
    }

    pub(super) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        match self {
            Self::Set { fields } | Self::SetEx { fields, .. } => fields.iter().for_each(|(field, value)| {
                visit(field);
                visit(value);
            }),
            Self::SetNx { field, value } => {
                visit(field);
                visit(value);
            }
            Self::Incr { field, .. } | Self::IncrByFloat { field, .. } => visit(field),
            Self::Del { fields } | Self::Expire { fields, .. } | Self::Persist { fields } => {
                fields.iter().for_each(visit);
            }
            Self::GetDel { fields } | Self::GetEx { fields, .. } => fields.iter().for_each(visit),
            Self::Get { .. } | Self::MGet { .. } | Self::GetAll | Self::Exists { .. } | Self::Len => {}
            Self::RandField { .. } | Self::Scan { .. } | Self::Ttl { .. } => {}
        }
    }
}

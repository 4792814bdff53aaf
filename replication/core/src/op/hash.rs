//! Commands on hashes.

use bytes::Bytes;

/// What can be asked of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each variant is the Redis command of its name, without the H; the fields are its arguments"
)]
pub enum HashOp {
    Set { fields: Vec<(Bytes, Bytes)> },
    Get { field: Bytes },
    MGet { fields: Vec<Bytes> },
    GetAll,
    Del { fields: Vec<Bytes> },
    Exists { field: Bytes },
    Len,
    Incr { field: Bytes, by: i64 },
}

impl HashOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Get { .. } | Self::MGet { .. } | Self::GetAll | Self::Exists { .. } | Self::Len => false,
            Self::Set { .. } | Self::Del { .. } | Self::Incr { .. } => true,
        }
    }

    pub(super) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        match self {
            Self::Set { fields } => fields.iter().for_each(|(field, value)| {
                visit(field);
                visit(value);
            }),
            Self::Incr { field, .. } => visit(field),
            Self::Del { fields } => fields.iter().for_each(visit),
            Self::Get { .. } | Self::MGet { .. } | Self::GetAll | Self::Exists { .. } | Self::Len => {}
        }
    }
}

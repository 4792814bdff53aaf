//! Extended errors (RFC 8914): why an answer is what it is, for whoever reads it with `dig`.

/// Option code of an extended error.
const EXTENDED_ERROR: u16 = 15;

/// A reason: its number, and a text that helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ede {
    code: u16,
    text: &'static str,
}

impl Ede {
    pub(crate) const NO_ZONE: Self = Self { code: 20, text: "no zone of this server has this name" };
    pub(crate) const NO_PLAN: Self = Self { code: 14, text: "this server has no plan yet" };
    pub(crate) const NOT_FOR_YOU: Self = Self { code: 18, text: "explanations are given to listed networks only" };
    pub(crate) const NO_TRANSFER: Self = Self { code: 21, text: "zones are not transferred" };
    pub(crate) const ALL_DOWN: Self = Self { code: 0, text: "every member is down: all are named" };
    pub(crate) const CLOSED: Self = Self { code: 0, text: "every member is down: none is named" };
    pub(crate) const DOUBTED: Self = Self { code: 0, text: "this server sees every member down: all are named" };
    pub(crate) const TOO_FEW: Self = Self { code: 0, text: "too few members serve: all are named" };
    pub(crate) const FENCED: Self = Self { code: 0, text: "no member lies inside of the fence of this client" };
    pub(crate) const FALLBACK: Self = Self { code: 0, text: "every member is down: those of another pool are named" };
    pub(crate) const LOOSE_END: Self = Self { code: 0, text: "aliases lead in a circle, or over more than 8 names" };

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend(EXTENDED_ERROR.to_be_bytes());
        out.extend((2 + self.text.len() as u16).to_be_bytes());
        out.extend(self.code.to_be_bytes());
        out.extend(self.text.bytes());
    }

    /// Bytes that [`Self::write`] writes.
    pub(super) fn written_len(self) -> usize {
        6 + self.text.len()
    }
}

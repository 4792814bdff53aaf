//! Catch-ups and whole partitions as bytes. A checkpoint is a catch-up for a peer that has nothing, so one codec serves both.

use crate::delta::{Part, Value, read_hlc, read_partition, understood};
use crate::partition::catch_up::{CatchUp, Gone, MAX_CATCH_UP_BYTES, Put};
use crate::wire::{self, Kind, Reader, TooNew, put_bytes, put_varint};
use crate::{DecodeError, MAX_KEY_BYTES, Partition, ReplicaId, VersionVector};

const NEW_KEY: u8 = 0;
const SAME_KEY: u8 = 1;

impl Partition {
    /// Appends one checksummed frame with the whole state, for checkpoints. The removal log is not part of it.
    pub fn encode_state(&self, out: &mut Vec<u8>) {
        self.catch_up_since(&VersionVector::new()).encode_as(wire::VERSION, Kind::State, out);
    }

    /// Reads such a frame from the head of `bytes` and tells how many bytes it took. `me` may be another incarnation than the one
    /// that wrote it.
    ///
    /// # Errors
    /// The bytes are not a state that this build could have written.
    pub fn decode_state(bytes: &[u8], me: ReplicaId) -> Result<(Self, usize), DecodeError> {
        let (state, taken) = CatchUp::decode_as(Kind::State, bytes)?.ok_or(DecodeError::Incomplete)?;
        let mut partition = Self::new(state.partition, me);
        partition.apply_catch_up(&state).map_err(|_| DecodeError::Malformed("a state that starts from a context"))?;
        Ok((partition, taken))
    }
}

impl CatchUp {
    /// Appends one frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_as(wire::VERSION, Kind::CatchUp, out);
    }

    /// Appends one frame that a reader of `version` understands.
    ///
    /// # Errors
    /// That version has no words for it; `out` is as it was.
    pub fn encode_version(&self, version: u8, out: &mut Vec<u8>) -> Result<(), TooNew> {
        self.puts.iter().try_for_each(|put| understood(version, &put.part, Some(&put.value)))?;
        self.encode_as(version, Kind::CatchUp, out);
        Ok(())
    }

    /// Reads one frame from the head of `bytes` and tells how many bytes it took; `Ok(None)` while it is not all there.
    ///
    /// # Errors
    /// The bytes are not a catch-up that this build could have written.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        Self::decode_as(Kind::CatchUp, bytes)
    }

    fn encode_as(&self, version: u8, kind: Kind, out: &mut Vec<u8>) {
        wire::write_frame(version, out, kind, |out| {
            put_varint(out, u64::from(self.partition));
            wire::put_vv(out, &self.since);
            wire::put_vv(out, &self.vv);
            wire::put_dots(out, &mut self.early.clone());
            let (tag, listed) = match &self.gone {
                Gone::These(gone) => (0, gone),
                Gone::AllBut(live) => (1, live),
            };
            out.push(tag);
            wire::put_dots(out, &mut listed.clone());
            put_varint(out, self.puts.len() as u64);
            let mut key: Option<&[u8]> = None;
            for put in &self.puts {
                put.encode(out, key);
                key = Some(&put.key);
            }
        });
    }

    fn decode_as(kind: Kind, bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((body, taken)) = wire::read_frame(bytes, kind, MAX_CATCH_UP_BYTES)? else { return Ok(None) };
        let mut reader = Reader::new(body);
        let partition = read_partition(&mut reader)?;
        let since = reader.vv()?;
        let vv = reader.vv()?;
        let early = reader.dots()?;
        let gone = match reader.u8()? {
            0 => Gone::These(reader.dots()?),
            1 => Gone::AllBut(reader.dots()?),
            _ => return Err(DecodeError::Malformed("unknown kind of list")),
        };
        let count = reader.count()?;
        let mut puts: Vec<Put> = Vec::with_capacity(count.min(64)); // grows with what is really there
        for _ in 0..count {
            let put = Put::read(&mut reader, puts.last())?;
            if !vv.covers(put.dot) || since.covers(put.dot) {
                return Err(DecodeError::Malformed("an element outside the range of its catch-up"));
            }
            puts.push(put);
        }
        reader.finish()?;
        Ok(Some((Self { partition, since, vv, gone, early, puts }, taken)))
    }
}

impl Put {
    fn encode(&self, out: &mut Vec<u8>, previous: Option<&[u8]>) {
        if previous == Some(&self.key[..]) {
            out.push(SAME_KEY);
        } else {
            out.push(NEW_KEY);
            put_bytes(out, &self.key);
        }
        self.part.encode(out);
        wire::put_dot(out, self.dot);
        out.extend_from_slice(&self.hlc.0.to_le_bytes());
        self.value.encode(out);
    }

    fn read(reader: &mut Reader, previous: Option<&Self>) -> Result<Self, DecodeError> {
        let key = match (reader.u8()?, previous) {
            (SAME_KEY, Some(previous)) => previous.key.clone(),
            (NEW_KEY, _) => reader.bytes(MAX_KEY_BYTES)?,
            _ => return Err(DecodeError::Malformed("an element without a key")),
        };
        let part = Part::read(reader)?;
        let dot = reader.dot()?;
        let hlc = read_hlc(reader)?;
        let value = Value::read(reader)?;
        if !value.fits(&part) {
            return Err(DecodeError::Malformed("a value in a part that cannot hold it"));
        }
        Ok(Self { key, part, dot, hlc, value })
    }
}

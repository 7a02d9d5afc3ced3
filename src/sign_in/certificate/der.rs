//! Reads the fields of DER structures in order.

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, TagNumber};

use super::Trouble;

/// The fields of a structure that are not read yet.
pub(super) struct Fields<'a>(SliceReader<'a>);

impl From<der::Error> for Trouble {
    fn from(_: der::Error) -> Trouble {
        Trouble::Damaged
    }
}

type Result<T> = std::result::Result<T, Trouble>;

impl<'a> Fields<'a> {
    /// The fields of a structure that takes up all of these bytes.
    pub(super) fn of_sequence(whole: &'a [u8]) -> Result<Fields<'a>> {
        let mut outer = Fields::of_content(whole)?;
        let inner = outer.sequence()?;
        match outer.is_empty() {
            true => Ok(inner),
            false => Err(Trouble::Damaged),
        }
    }

    /// The fields in the content of a structure.
    pub(super) fn of_content(content: &'a [u8]) -> Result<Fields<'a>> {
        Ok(Fields(SliceReader::new(content)?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_finished()
    }

    pub(super) fn any(&mut self) -> Result<AnyRef<'a>> {
        Ok(AnyRef::decode(&mut self.0)?)
    }

    /// The next field with its tag and length.
    pub(super) fn whole(&mut self) -> Result<&'a [u8]> {
        Ok(self.0.tlv_bytes()?)
    }

    fn next_is(&self, tag: Tag) -> bool {
        Tag::peek(&self.0).is_ok_and(|next| next == tag)
    }

    fn content(&mut self, tag: Tag) -> Result<&'a [u8]> {
        match self.next_is(tag) {
            true => Ok(self.any()?.value()),
            false => Err(Trouble::Damaged),
        }
    }

    pub(super) fn sequence(&mut self) -> Result<Fields<'a>> {
        Fields::of_content(self.content(Tag::Sequence)?)
    }

    pub(super) fn next_is_sequence(&self) -> bool {
        self.next_is(Tag::Sequence)
    }

    pub(super) fn octets(&mut self) -> Result<&'a [u8]> {
        self.content(Tag::OctetString)
    }

    /// An object identifier as it is encoded.
    pub(super) fn oid(&mut self) -> Result<&'a [u8]> {
        self.content(Tag::ObjectIdentifier)
    }

    /// A bit string of whole bytes.
    pub(super) fn bits(&mut self) -> Result<&'a [u8]> {
        match self.content(Tag::BitString)?.split_first() {
            Some((0, bits)) => Ok(bits),
            _ => Err(Trouble::Damaged),
        }
    }

    /// A small number that is not negative.
    pub(super) fn number(&mut self) -> Result<u32> {
        Ok(u32::decode(&mut self.0)?)
    }

    /// The bytes of a number that is not negative, without leading zeros.
    pub(super) fn unsigned(&mut self) -> Result<&'a [u8]> {
        let bytes = self.content(Tag::Integer)?;
        Ok(bytes.strip_prefix(&[0]).unwrap_or(bytes))
    }

    /// A small number, if one follows.
    pub(super) fn optional_number(&mut self) -> Result<Option<u32>> {
        match self.next_is(Tag::Integer) {
            true => self.number().map(Some),
            false => Ok(None),
        }
    }

    /// The content of `[number]`, if that follows.
    pub(super) fn tagged(&mut self, number: u32, constructed: bool) -> Result<Option<&'a [u8]>> {
        let tag = Tag::ContextSpecific { constructed, number: TagNumber(number) };
        match self.next_is(tag) {
            true => self.content(tag).map(Some),
            false => Ok(None),
        }
    }

    /// The fields inside `[number]`, which must follow.
    pub(super) fn explicit(&mut self, number: u32) -> Result<Fields<'a>> {
        Fields::of_content(self.tagged(number, true)?.ok_or(Trouble::Damaged)?)
    }
}

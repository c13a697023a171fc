//! Works on sets and sorted sets whose members stand for keys: tags, and indexes.

use std::time::Duration;

use bytes::Bytes;

use super::Run;
use super::sweep::Walk;
use super::tally::{Stop, shown};
use super::text::Keys;
use crate::store::{Collection, Error, KeyCursor};

/// Members taken out in one call.
const SLICE: usize = 500;
/// Members that are put aside for a second look.
const ASIDE: usize = 10_000;

/// Which key a member stands for.
pub(super) struct Member {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Member {
    /// `{member}` is in it once.
    pub(super) fn new(text: &str) -> Self {
        let (before, after) = text.split_once("{member}").unwrap_or((text, ""));
        Self { before: before.into(), after: after.into() }
    }

    fn key(&self, member: &Bytes) -> Bytes {
        if self.before.is_empty() && self.after.is_empty() {
            return member.clone();
        }
        [&self.before[..], member, &self.after].concat().into()
    }
}

/// A member whose key was found gone: the collection, the member, the key.
type Suspect = (Bytes, (Bytes, Bytes));

impl Run<'_, '_> {
    /// The keys of all members that are there when it begins; those that come meanwhile keep their place in the set.
    pub(super) async fn tag_delete(&mut self, tag: &Bytes, member: &Member) -> Result<(), Stop> {
        if self.free(vec![tag.clone()]).await?.is_empty() {
            return Err(Stop::Unfit(format!("{} is protected", shown(tag))));
        }
        let of = match self.keyspace.collection(tag).await? {
            Collection::None => return Ok(()),
            Collection::Other(kind) => return Err(Stop::Unfit(not_members(tag, kind))),
            of => of,
        };
        let mut cursor = KeyCursor::start();
        while !cursor.is_at_end() {
            let members = self.keyspace.members(&mut cursor, tag, of).await?;
            let pairs: Vec<_> = members.into_iter().map(|m| (member.key(&m), m)).collect();
            self.tally.scanned(pairs.len());
            let (pairs, protected) = self.sieve.sift(pairs, |(key, _)| key).await?;
            self.tally.counts.protected_count += protected;
            for slice in pairs.chunks(self.tally.slice(SLICE)) {
                let granted = self.tally.grant(slice.len())?;
                let gone = if self.tally.is_dry_run() {
                    let keys: Vec<_> = slice.iter().map(|(key, _)| key.clone()).collect();
                    self.keyspace.are_gone(&keys).await?.iter().filter(|gone| !**gone).count() as u64
                } else {
                    let pairs: Vec<_> = slice[..granted].iter().map(|(key, m)| (m.clone(), key.clone())).collect();
                    match self.keyspace.drop_all(tag, &pairs).await? {
                        Ok(gone) => gone,
                        Err(kind) => return Err(Stop::Unfit(not_members(tag, &kind))),
                    }
                };
                self.tally.deleted(gone);
                self.tally.pause().await?;
            }
        }
        Ok(())
    }

    /// Members go whose key is gone at two looks, with the grace between them: who stores an index first and its key
    /// after that is not disturbed.
    pub(super) async fn set_prune(&mut self, keys: &Keys, member: &Member, grace: Duration) -> Result<(), Stop> {
        let mut walk = Walk::new(self.keyspace, keys, None);
        let mut aside: Vec<Suspect> = Vec::new();
        while let Some(met) = walk.next().await? {
            for index in self.free(met).await? {
                let of = match self.keyspace.collection(&index).await? {
                    Collection::None => continue,
                    Collection::Other(kind) => {
                        self.tally.error(&index, &format!("a {kind}, expected a set or a sorted set"));
                        continue;
                    }
                    of => of,
                };
                let mut cursor = KeyCursor::start();
                while !cursor.is_at_end() {
                    let members = match self.keyspace.members(&mut cursor, &index, of).await {
                        Err(Error::WrongType { .. }) => {
                            self.tally.error(&index, "became something else");
                            break;
                        }
                        page => page?,
                    };
                    let pairs: Vec<_> = members.into_iter().map(|m| (member.key(&m), m)).collect();
                    self.tally.scanned(pairs.len());
                    let asked: Vec<_> = pairs.iter().map(|(key, _)| key.clone()).collect();
                    let gone = self.keyspace.are_gone(&asked).await?;
                    let suspects = pairs.into_iter().zip(gone).filter(|(_, gone)| *gone);
                    aside.extend(suspects.map(|((key, m), _)| (index.clone(), (m, key))));
                    if aside.len() >= ASIDE {
                        self.look_again(std::mem::take(&mut aside), grace).await?;
                    }
                    self.tally.pause().await?;
                }
            }
            self.tally.pause().await?;
        }
        self.look_again(aside, grace).await
    }

    /// Takes out those that are still gone.
    async fn look_again(&mut self, aside: Vec<Suspect>, grace: Duration) -> Result<(), Stop> {
        if self.tally.is_dry_run() {
            self.tally.deleted(aside.len() as u64);
            return Ok(());
        }
        if aside.is_empty() {
            return Ok(());
        }
        self.tally.grant(aside.len()).or_else(|stop| if matches!(stop, Stop::Capped) { Ok(0) } else { Err(stop) })?;
        self.tally.sleep(grace).await?;
        let slice = self.tally.slice(SLICE);
        // members of one collection stand together
        for group in aside.chunk_by(|a, b| a.0 == b.0) {
            for part in group.chunks(slice) {
                let granted = self.tally.grant(part.len())?;
                let pairs: Vec<_> = part[..granted].iter().map(|(_, pair)| pair.clone()).collect();
                match self.keyspace.drop_gone(&part[0].0, &pairs).await? {
                    Ok(gone) => self.tally.deleted(gone),
                    Err(kind) => self.tally.error(&part[0].0, &format!("became a {kind}")),
                }
                self.tally.pause().await?;
            }
        }
        Ok(())
    }
}

fn not_members(key: &Bytes, kind: &str) -> String {
    format!("{} is a {kind}, expected a set or a sorted set", shown(key))
}
